"""The runtimes that `--runtime` knows, and how `auto` picks one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from orchestration.errors import FeatureUnavailable
from orchestration.runtimes.base import Notify, Runtime
from orchestration.settings import RuntimeOptions

SIF_SUFFIX = ".sif"
IMAGES_BY_NAME = ("docker", "podman")
Factory = Callable[[RuntimeOptions, Mapping[str, str]], Runtime]


# Imported only when chosen: a run of one runtime does not pay for the libraries of the other.
def _docker(options: RuntimeOptions, environment: Mapping[str, str]) -> Runtime:
    from orchestration.runtimes.docker import DockerRuntime

    return DockerRuntime(options)


def _podman(options: RuntimeOptions, environment: Mapping[str, str]) -> Runtime:
    from orchestration.runtimes.podman import PodmanRuntime

    return PodmanRuntime(options, environment)


def _apptainer(options: RuntimeOptions, environment: Mapping[str, str]) -> Runtime:
    from orchestration.runtimes.apptainer import ApptainerRuntime

    return ApptainerRuntime(options, environment)


def _local(options: RuntimeOptions, environment: Mapping[str, str]) -> Runtime:
    from orchestration.runtimes.local import LocalRuntime

    return LocalRuntime(options, environment)


RUNTIMES: Mapping[str, Factory] = MappingProxyType(
    {"docker": _docker, "podman": _podman, "apptainer": _apptainer, "local": _local}
)
"""Name -> factory, in the order in which `auto` tries them."""


def choose_runtime(
    options: RuntimeOptions, environment: Mapping[str, str], notify: Notify
) -> Runtime:
    """The runtime that was asked for, or the first one that works; which and why is said.

    Raises:
        FeatureUnavailable: an option of one runtime was combined with another runtime, or with
            one that contradicts it.
    """
    _check_packages(options)
    local_options = _local_options(options)
    if options.name != "auto":
        if local_options and options.name != "local":
            raise FeatureUnavailable(
                f"{' and '.join(local_options)} was given together with --runtime {options.name}.",
                "That option says where the local runtime finds its Python.",
                "Use --runtime local, or leave the option out.",
            )
        return RUNTIMES[options.name](options, environment)
    images = _image_options(options)
    if images:
        name = "apptainer" if _is_sif_file(images) else _keeper_of_names(options, environment)
        notify(f"Runtime: {name} ({' and '.join(images)} was given)")
        return RUNTIMES[name](options, environment)
    if local_options:
        notify(f"Runtime: local ({' and '.join(local_options)} was given)")
        return RUNTIMES["local"](options, environment)
    return _first_available(options, environment, notify)


def _first_available(
    options: RuntimeOptions, environment: Mapping[str, str], notify: Notify
) -> Runtime:
    reasons: list[str] = []
    for name, factory in RUNTIMES.items():
        runtime = factory(options, environment)
        # The last one is taken as it is: its own errors then say what is missing.
        if name == list(RUNTIMES)[-1]:
            break
        availability = runtime.availability()
        if availability.ok:
            reasons = [availability.reason.rstrip(".")]
            break
        reasons.append(f"not {name}: {availability.reason.rstrip('.')}")
    notify(f"Runtime: {runtime.name} ({'; '.join(reasons)})")
    return runtime


def _image_options(options: RuntimeOptions) -> dict[str, str]:
    """Images that the user names, by option."""
    given = {"--image-extract": options.extract_image, "--image-load": options.load_image}
    return {option: image for option, image in given.items() if image is not None}


def _keeper_of_names(options: RuntimeOptions, environment: Mapping[str, str]) -> str:
    """The runtime whose images have names: Podman where it works and no Docker engine does."""
    works = (
        name
        for name in IMAGES_BY_NAME
        if name in RUNTIMES and RUNTIMES[name](options, environment).availability().ok
    )
    return next(works, IMAGES_BY_NAME[0])


def _is_sif_file(images: Mapping[str, str]) -> bool:
    """Whether the images are files of Apptainer's; a name with that ending serves no other."""
    return all(image.endswith(SIF_SUFFIX) for image in images.values())


def _local_options(options: RuntimeOptions) -> list[str]:
    """Options given that only the local runtime understands."""
    given = {
        "--legacy-python": options.legacy_python,
        "--load-python": options.load_python,
        "--wheelhouse": options.wheelhouse,
    }
    return [name for name, value in given.items() if value is not None]


def _check_packages(options: RuntimeOptions) -> None:
    """Refuse two answers to the question of where stage 2 finds its packages.

    Raises:
        FeatureUnavailable: options contradict each other.
    """
    given = {
        "--image-load": options.load_image,
        "--load-python": options.load_python,
        "--requirements": options.requirements,
    }
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise FeatureUnavailable(
            f"{' and '.join(names)} were given together.",
            "Each of them says where stage 2 finds its packages.",
            "Pass one of them; install what else is needed into that image or environment.",
        )
    others = _local_options(options) or (["--runtime local"] if options.name == "local" else [])
    images = _image_options(options)
    if images and others:
        raise FeatureUnavailable(
            f"{' and '.join(images)} was given together with {' and '.join(others)}.",
            "An image serves a container engine.",
            "Use a runtime with containers, or name an environment with --load-python.",
        )
