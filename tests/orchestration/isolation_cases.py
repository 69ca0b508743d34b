"""What no stage can do, whatever contains it: expressions for `container_probe.py`, and answers.

The container sees a folder with `input.txt` at /in, read-only, and an empty one at /out. Each
runtime's tests add what is its own: which folders are scratch, how large that is.
"""

from __future__ import annotations

import pytest

MB = 1 << 20
NO_CAPABILITY = "0000000000000000"
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
# Variables of the caller that must not reach a stage. The last ones get past `--cleanenv`.
HOSTILE_ENVIRONMENT = {
    "SECRET_TOKEN": "hostile",
    "http_proxy": "http://user:hostile@192.0.2.1",
    "APPTAINERENV_SECRET": "hostile",
    "SINGULARITYENV_SECRET": "hostile",
}

ISOLATION_CASES = [
    pytest.param(
        "write('/in/input.txt')",
        "OSError: [Errno 30] Read-only file system: '/in/input.txt'",
        id="input-is-read-only",
    ),
    pytest.param(
        "write('/in/new.txt')",
        "OSError: [Errno 30] Read-only file system: '/in/new.txt'",
        id="nothing-new-beside-the-input",
    ),
    pytest.param(
        "os.remove('/in/input.txt')",
        "OSError: [Errno 30] Read-only file system: '/in/input.txt'",
        id="input-cannot-be-deleted",
    ),
    pytest.param("remount('/in')", "'EPERM'", id="input-cannot-be-remounted"),
    pytest.param(
        "remount_in_namespaces('/in') in ('EPERM', 'no namespace')",
        "True",
        id="nor-in-a-namespace-of-its-own",
    ),
    pytest.param("write('/out/x', 5)", "5", id="output-is-writable"),
    pytest.param("write('/tmp/x', 5)", "5", id="scratch-is-writable"),
    pytest.param("writable_settings()", "[]", id="no-setting-of-the-kernel-is-writable"),
    pytest.param(
        "socket.create_connection(('192.0.2.1', 80), timeout=5)",
        "OSError: [Errno 101] Network is unreachable",
        id="no-network",
    ),
    pytest.param("network_cards()", "['lo']", id="no-network-card"),
    pytest.param(
        "capabilities()",
        repr({**dict.fromkeys(CAPABILITY_SETS, NO_CAPABILITY), "NoNewPrivs": "1"}),
        id="no-capability",
    ),
    pytest.param("strangers()", "[]", id="no-other-process"),
    pytest.param(
        "[name for name, value in os.environ.items() if 'hostile' in value]",
        "[]",
        id="nothing-of-the-caller-s-environment",
    ),
    pytest.param("getpass.getuser()", "'stage'", id="user-has-a-name"),
    pytest.param("os.path.expanduser('~')", "'/tmp'", id="user-has-a-home"),
    pytest.param("os.listdir('/home') + os.listdir('/mnt')", "[]", id="no-home-of-the-host-s"),
    pytest.param("os.getpid() == 1", "False", id="an-init-process-above"),
    pytest.param("sorted(os.listdir('/in'))", "['input.txt']", id="input-is-there"),
]
