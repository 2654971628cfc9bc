"""Names of datasets, from the keys of objects and from the names of files."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import PurePosixPath

from anyascii import anyascii

SLUG_LENGTH = 40
"""Leaves room for `-<12 hex>` and `-<candidate>` within Bedrock's limit of 63 characters for a name."""
NULL_VERSION = "null"
"""The version ID of every object that is written while the versioning of its bucket is suspended."""
_DIGEST_LENGTH = 8
_FOLDER_SUFFIX = "_$folder$"


def slug(text: str) -> str:
    """Return lower-case letters, digits and single hyphens, at most 40 characters, never empty.

    Letters of other scripts are transliterated. Different texts may have the same slug.
    """
    return _words(text)[:SLUG_LENGTH].strip("-") or "dataset"


def distinct_name(text: str) -> str:
    """Return a slug that differs for texts that differ in more than capitals and separators.

    Where the slug loses something, it ends in 8 hex digits of the text's SHA-256. Separators are blanks,
    hyphens, underscores, dots and slashes. A name that this function returned is returned as it is.
    """
    words = _words(text)
    folded = unicodedata.normalize("NFC", text).lower()
    if words and words == re.sub(r"[ ._/-]+", "-", folded).strip("-") and len(words) <= SLUG_LENGTH:
        return words
    digest = hashlib.sha256(folded.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{(words or 'dataset')[: SLUG_LENGTH - _DIGEST_LENGTH - 1].strip('-')}-{digest}"


def dataset_name(key: str) -> str:
    """Return `<dataset>` of `datasets/<dataset>/<file>`; of `datasets/<file>`, the name of the file.

    A name has one spelling, whether accents are written as characters of their own (NFD) or not (NFC).
    """
    parts = key.split("/")
    folder = parts[1] if len(parts) > 2 else ""
    return unicodedata.normalize("NFC", folder or PurePosixPath(parts[-1]).stem)


def is_ignored(key: str) -> bool:
    """Whether an object under `datasets/` is not data: a folder marker, a success marker, or a hidden file.

    Hidden are files and folders whose name begins with a dot or an underscore, as programs name files that
    are not complete yet.
    """
    parts = key.split("/")[1:]
    # A name of dots only, or with several in front, is odd but not hidden.
    hidden = any(part[:1] == "_" or (part[:1] == "." and part[:2] != "..") for part in parts)
    return hidden or key.endswith(("/", _FOLDER_SUFFIX))


def object_version(version_id: str, etag: str) -> str:
    """Return the version ID of an object, or its ETag where the bucket keeps no versions."""
    return version_id if version_id and version_id != NULL_VERSION else etag or version_id


def _words(text: str) -> str:
    transliterated = anyascii(unicodedata.normalize("NFC", text)).lower()
    return re.sub(r"[^a-z0-9]+", "-", transliterated).strip("-")
