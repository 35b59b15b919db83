"""The one exception whose message is written for the user, and what others are told as."""


class UserError(Exception):
    """A mistake or a lack that the user can mend.

    The message is one sentence that says what is wrong, where, and what to do. Command lines print it without a
    traceback and end with exit status 2; pages show it in place of the part that cannot be drawn.
    """


def in_words(error: BaseException) -> str:
    """Return an exception as a sentence: a user error's own message, the type and message of any other."""
    message = " ".join(str(error).split())
    if isinstance(error, UserError):
        return message
    name = type(error).__name__
    return f"unexpected {name}: {message[:300]}" if message else f"unexpected {name}"
