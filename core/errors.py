"""The one exception whose message is written for the user."""


class UserError(Exception):
    """A mistake or a lack that the user can mend.

    The message is one sentence that says what is wrong, where, and what to do. Command lines print it without a
    traceback and end with exit status 2; pages show it in place of the part that cannot be drawn.
    """
