"""in-toto statements about a minimal image: its bills of materials, how it was made, what was asked of it.

Sources: in-toto Attestation Framework (Statement v1; predicate test-result v0.1), SLSA provenance v1, CycloneDX and
SPDX as predicates. Nothing is signed here: cosign or whoever holds a key does that. The same run gives the same bytes,
so no statement has a time of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from debloat import __version__
from debloat.attest import bill
from debloat.attest.minimal import minimal_rootfs
from debloat.core.model import Image, ImageConfig, Policy
from debloat.core.text import name
from debloat.cut import Minimal
from debloat.debian import dpkg
from debloat.image.rootfs import Rootfs
from debloat.inventory.read import read
from debloat.lock.manifest import recipe_digest
from debloat.result import Outcome
from debloat.verify import Comparison

MEDIA_TYPE = "application/vnd.in-toto+json"
"""Of a statement, by itself and as an artifact beside an image."""

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
BILLS = {"cyclonedx": "https://cyclonedx.org/bom", "spdx": "https://spdx.dev/Document"}
"""Predicate types by the formats of bills of materials."""

BUILD_TYPE = "https://github.com/debloat/debloat/blob/main/docs/attest.md#provenance"
BUILDER = "https://github.com/debloat/debloat"


class Attestation(Struct, frozen=True):
    """A statement about an image: `label` is a word for it (`provenance`), `data` its JSON."""

    label: str
    predicate_type: str
    data: bytes
    media_type: str = MEDIA_TYPE

    @property
    def annotations(self) -> Mapping[str, str]:
        """What the manifest of an artifact, and an index, say of it, so that it is found without being read."""
        return {"in-toto.io/predicate-type": self.predicate_type}


class Made(Struct, frozen=True):
    """A minimal image and how it was made, while the contents of the original can be read.

    `image` and `rootfs` are the original's, `name` is the result's. `recipe` is the digest of what was asked,
    `mechanisms` how it was recorded; `answers` is None where nothing was replayed. `materials` are further files that
    it was made by, with their digests.
    """

    image: Image
    rootfs: Rootfs
    minimal: Minimal
    name: str
    policy: Policy
    recipe: str
    mechanisms: tuple[str, ...]
    answers: tuple[Comparison, ...] | None
    materials: tuple[tuple[str, str], ...] = ()


def made_by(outcome: Outcome) -> Made:
    """What a run made."""
    report = outcome.report
    return Made(
        outcome.image,
        outcome.world.rootfs,
        outcome.minimal,
        report.result or outcome.image.reference,
        outcome.recipe.policy,
        recipe_digest(outcome.recipe),
        report.mechanisms,
        report.answers if report.verified else None,
    )


class Subject(Struct, frozen=True):
    """What a statement is about: a name, and a digest (`sha256:...`) of an image's manifest or configuration."""

    name: str
    digest: str


def attestations(made: Made, subjects: Iterable[Subject] = ()) -> tuple[Attestation, ...]:
    """All statements about a minimal image; by default about the image by the digest of its configuration.

    UsageError where the extra `sbom` is not installed.
    """
    image = minimal_image(made)
    about = tuple(subjects) or (Subject(image.reference, image.id),)
    predicates = [
        (form, predicate_type, json.loads(text))
        for (form, predicate_type), text in zip(BILLS.items(), bills(made), strict=True)
    ]
    predicates.append(("provenance", PROVENANCE, provenance(made)))
    if made.answers is not None:
        predicates.append(("test-result", TEST_RESULT, test_result(made.recipe, made.answers)))
    return tuple(Attestation(label, kind, statement(about, kind, predicate)) for label, kind, predicate in predicates)


def bills(made: Made) -> tuple[str, ...]:
    """The bills of materials of a minimal image that is at hand, in the order of `bill.FORMATS`."""
    renderers = [bill.renderer(form) for form in bill.FORMATS]
    rootfs = minimal_rootfs(made.rootfs, made.minimal)
    inventory = read(rootfs, dpkg.read(rootfs))
    return tuple(render(minimal_image(made), inventory) for render in renderers)


def minimal_image(made: Made) -> Image:
    """The minimal image as an engine of the classic store will know it."""
    document = json.loads(made.minimal.config)
    return replace(
        made.image,
        reference=made.name,
        id=made.minimal.id,
        created=document["created"],
        config=ImageConfig(document["config"]),
        layers=(made.minimal.layer.diff_id,),
    )


def statement(subjects: Iterable[Subject], predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
    """A statement as JSON."""
    found = sorted({(name(s.name), s.digest) for s in subjects})
    document = {
        "_type": STATEMENT,
        "subject": [{"name": called, "digest": _digest(digest)} for called, digest in found],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def provenance(made: Made) -> dict[str, Any]:
    """SLSA provenance: the original is what it was made of, the recipe what was asked for."""
    policy = made.policy
    original = {
        "name": name(made.image.reference),
        "uri": f"docker://{name(made.image.reference)}",
        "digest": _digest(_pinned(made.image)),
    }
    materials = [{"name": name(called), "digest": _digest(digest)} for called, digest in made.materials]
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "image": name(made.image.reference),
                "platform": made.image.platform_name,
                "level": str(policy.level),
                "keep": [name(glob) for glob in policy.keep],
                "drop": [name(glob) for glob in policy.drop],
                "keepPackages": sorted(policy.keep_packages),
                "recipe": made.recipe,
            },
            "internalParameters": {"mechanisms": list(made.mechanisms), "verified": made.answers is not None},
            "resolvedDependencies": [original, *materials],
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"debloat": __version__}},
            "byproducts": [{"name": "layer", "digest": _digest(made.minimal.layer.diff_id)}],
        },
    }


def _pinned(image: Image) -> str:
    """The digest by which the user named an image, else what the engine calls it."""
    return image.reference.partition("@")[2] or image.id


def test_result(recipe: str, compared: Iterable[Comparison]) -> dict[str, Any]:
    """The probes as tests: passed, passed with an excuse, failed; and what each image answered.

    `recipe` is the digest of what was asked.
    """
    lists: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    answers = []
    for number, answer in enumerate(compared, 1):
        test = f"{number} {name(answer.scenario)}: {name(answer.before.name)}"
        kind = "failedTests" if answer.difference else "warnedTests" if answer.note else "passedTests"
        lists[kind].append(test)
        answers.append(
            {
                "test": test,
                "original": answer.before.outcome(),
                "minimal": answer.after.outcome(),
                "difference": name(answer.difference),
                "note": name(answer.note),
            }
        )
    result = "FAILED" if lists["failedTests"] else "WARNED" if lists["warnedTests"] else "PASSED"
    return {
        "result": result,
        "configuration": [{"name": "recipe", "digest": _digest(recipe)}],
        **lists,
        "debloat_answers": answers,
    }
