"""What a stage has written, before this process works on it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orchestration.errors import StageCrashed


def take_over_from_stage(folder: Path) -> None:
    """Make what a stage wrote this process's own; the stage must have ended.

    The files get the modes that this process would give: containers have a umask of theirs. What
    is neither file nor folder is refused: through a link this process would write to a place of the
    stage's choice.

    Raises:
        StageCrashed: there is a link, a pipe or the like.
        OSError: a file belongs to somebody else.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise StageCrashed(
                f"A stage wrote {path.name!r}, which is neither file nor folder.",
                "Stages write plain files.",
                "Do not use this checkpoint: no stage does so by itself.",
            )
        path.chmod((0o777 if stat.S_ISDIR(mode) else 0o666) & ~umask)
