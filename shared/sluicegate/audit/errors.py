"""What can be wrong with a log, a proof or a note, each told apart from the others."""

from sluicegate.kernel.errors import InvalidRequestError, SluicegateError


class EncodingError(InvalidRequestError):
    """A value or a text has no canonical JSON form (RFC 8785), or a text is not in that form."""

    code = "not_canonical_json"


class MalformedError(InvalidRequestError):
    """A path, key, note, checkpoint or bundle does not follow its format to the byte."""

    code = "malformed"


class UnverifiedError(InvalidRequestError):
    """A note carries no signature of a known key, or a wrong one. Details: key, where one is at fault."""

    code = "unverified_signature"


class InvalidProofError(InvalidRequestError):
    """A proof does not show what it is said to show."""

    code = "invalid_proof"


class OutOfTreeError(InvalidRequestError):
    """An index or a size lies outside the tree it is asked about. Details: index or size, tree_size."""

    code = "out_of_tree"


class CorruptTileError(SluicegateError):
    """A stored tile or bundle cannot be what it is stored as. Details: path."""

    code = "corrupt_tile"


class MissingTileError(SluicegateError):
    """A tile that the computation asked for was not handed to it. Details: path."""

    code = "missing_tile"


class SigningError(SluicegateError):
    """A signer answered with something that is not a signature by its own key. Details: key."""

    code = "signing_failed"


class CorruptLogError(SluicegateError):
    """What is stored contradicts itself: the log must not be built upon. Details: name, where one is."""

    code = "corrupt_log"


class UnreadableError(SluicegateError):
    """A sealed part does not open with the key that it was sealed with: it, or the key, was changed."""

    code = "unreadable_entry"
