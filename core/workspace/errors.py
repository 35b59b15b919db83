"""The exception whose message is written for the user, and one-sentence descriptions of all others."""


class UserError(Exception):
    """A problem the user can fix.

    The message is one sentence that says what is wrong, where, and what to do. Commands print it without a traceback
    and exit with status 2; pages show it in place of the part that cannot be displayed.
    """


def in_words(error: BaseException) -> str:
    """Describe an exception in one sentence: the message of a UserError, the type and message of any other."""
    message = " ".join(str(error).split())
    if isinstance(error, UserError):
        return message
    name = type(error).__name__
    return f"unexpected {name}: {message[:300]}" if message else f"unexpected {name}"
