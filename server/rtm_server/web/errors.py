"""What a page may answer instead of itself. Each carries one plain sentence and nothing of the data."""


class PageError(Exception):
    """A refusal with a status and a sentence for the reader."""

    status = 500
    title = "Something went wrong"

    def __init__(self, sentence: str | None = None) -> None:
        self.sentence = sentence or self.default
        super().__init__(self.sentence)

    default = "The page could not be shown. Nothing was changed."


class SignInNeededError(PageError):
    """Nobody is signed in: the browser is sent to the sign-in page."""

    status = 401
    title = "Please sign in"
    default = "You are signed out. What you just sent was not saved."


class ForbiddenError(PageError):
    """Signed in, but not for this."""

    status = 403
    title = "Not for your role"
    default = "Your sign-in does not open this page."


class NotFoundError(PageError):
    """Unknown, or another clinic's: the answer is the same."""

    status = 404
    title = "Not found"
    default = "There is no such page here."


class ConflictError(PageError):
    """Somebody else was first, or the state has moved on."""

    status = 409
    title = "Already done"
    default = "This was changed in the meantime. Look at the page again."


class InvalidError(PageError):
    """The form holds something that cannot be taken."""

    status = 422
    title = "Not accepted"
    default = "The form holds a value that cannot be taken. Nothing was changed."


class TooManyError(PageError):
    """Slow down; `retry_after_s` goes into the header."""

    status = 429
    title = "Too many tries"
    default = "Too many tries. Please wait a moment."

    def __init__(self, sentence: str | None = None, retry_after_s: int = 60) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class UnavailableError(PageError):
    """A part the page needs is not reachable."""

    status = 503
    title = "Not reachable just now"
    default = "A part of the system is not reachable. Please try again in a minute."
