"""The one exception that commands report without a traceback."""


class UserError(ValueError):
    """Something that the caller gave is wrong.

    The message names the file or flag, the field, what was received and what would be right.
    """
