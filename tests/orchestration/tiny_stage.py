"""A stage of a few lines that speaks the protocol of the real ones, and misbehaves on demand.

Run as `python tiny_stage.py -s -m stage_extract|stage_load`. What it does is the text of the
checkpoint's `.index` file (extract) or the model's name (load).
"""

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time

# What runs without TensorFlow says so by not naming it.
VERSIONS = {"tf": {"tensorflow": "1"}, "both": {"tensorflow": "1"}, "pure": {"numpy": "2"}}
WEIGHTS = struct.pack("<6f", 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
GRAPH = {
    "format": "tf1-export",
    "version": 1,
    "variables": [{"name": "w", "dtype": "float32", "shape": [2, 3]}],
    "reference": {"state": "absent", "reason": "a tiny stage", "feeds": [], "outputs": []},
}


def say(**event):
    os.write(1, json.dumps(event).encode() + b"\n")


def tell(text):
    os.write(2, text.encode() + b"\n")


def write(folder, name, content):
    with open(os.path.join(folder, name), "wb") as stream:
        stream.write(content)


def safetensors(tensors):
    entries, offset = {}, 0
    for name, data in tensors.items():
        ends = [offset, offset + len(data)]
        entries[name] = {"dtype": "F32", "shape": [2, 3], "data_offsets": ends}
        offset += len(data)
    note = json.dumps({"format": "tf1-export", "version": 1})
    header = json.dumps({"__metadata__": {"tf1_export": note}, **entries}).encode()
    return struct.pack("<Q", len(header)) + header + b"".join(tensors.values())


def misbehave(word):
    """Do what the word says; return whether the job is to go on as if nothing were."""
    if word == "abort":
        os.abort()
    elif word == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "illegal":
        os.kill(os.getpid(), signal.SIGILL)
    elif word == "exit 3":
        tell("first words\nlast words")
        os._exit(3)
    elif word == "leave":
        os._exit(0)
    elif word == "no memory":
        tell("terminate called after throwing 'std::bad_alloc'")
        os.abort()
    elif word == "nonsense":
        os.write(1, b"Segmentation what?\n")
    elif word == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        tell(f"child {child.pid} of {os.getpid()}")
        time.sleep(600)
    elif word.startswith("slow "):
        time.sleep(float(word[len("slow ") :]))
    elif word.startswith("hold "):
        held = b"x" * int(word[len("hold ") :])
        time.sleep(600 if held else 0)
    elif word == "close":
        os.close(1)
        time.sleep(600)


def fail(job, class_name, exit_code):
    say(
        event="failed",
        job=job["job"],
        error={
            "class": class_name,
            "exit_code": exit_code,
            "happened": "It went wrong.",
            "expected": "It should not.",
            "remedy": "Try another.",
            "traceback": "Traceback: deep inside" if class_name == "InternalError" else None,
        },
    )


def extract(job):
    prefix = job["checkpoint"]
    if os.path.isdir(prefix):
        prefix = os.path.join(prefix, "model.ckpt")
    with open(prefix + ".index", "rb") as stream:
        content = stream.read()
    word = content.decode()
    misbehave(word)
    if word == "talk of memory":
        tell("words of one item, which met a std::bad_alloc and went on")
        time.sleep(0.2)
    if word == "fail":
        return fail(job, "TruncatedData", 32)
    if word == "bug":
        return fail(job, "InternalError", 1)
    if job["command"] == "inspect":
        return say(event="done", job=job["job"], result={"inspection": {"variables": []}})
    say(event="progress", job=job["job"], phase="variables", done=1, total=1, unit="tensors")
    weights = WEIGHTS[:-1] if word == "short export" else WEIGHTS
    write(job["out"], "variables.safetensors", safetensors({"w": weights}))
    graph = {**GRAPH, "options": job["options"]}
    if word == "next version":
        graph["version"] = 2
    write(job["out"], "graph.json", json.dumps(graph).encode())
    if word == "link":
        os.unlink(os.path.join(job["out"], "graph.json"))
        os.symlink("/etc/hostname", os.path.join(job["out"], "graph.json"))
    if word.startswith("write through "):
        os.symlink(word[len("write through ") :], os.path.join(job["out"], "manifest.json"))
    name = os.path.basename(prefix)
    files = [
        {
            "name": name + ".index",
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    ]
    result = {
        "checkpoint": {"prefix": name, "step": None, "files": files},
        "variables": 1,
        "size_bytes": len(WEIGHTS),
        "skipped": 0,
        "reference": {"state": "absent", "reason": "a tiny stage"},
        "inputs": [],
        "outputs": [],
    }
    if word == "half an answer":
        del result["checkpoint"]["files"]
    return say(event="done", job=job["job"], result=result, timings_s={"variables": 0.1})


def load(job):
    word = job["options"]["model"]
    if word == "unknown":
        return fail(job, "UnknownModel", 50)
    if job["command"] == "check":
        return say(event="done", job=job["job"], result={"device": "cpu"})
    misbehave(word)
    if word == "proposes":
        write(job["out"], "mapping.csv", b"tf_name,torch_name,rule\r\na,,?\r\n")
        return fail(job, "MatchUncertain", 65)
    if word == "proposes a link":
        os.symlink("/etc/hostname", os.path.join(job["out"], "mapping.csv"))
        return fail(job, "MatchUncertain", 65)
    if word == "misfit":
        return fail(job, "ModelDoesNotFit", 51)
    with open(os.path.join(job["export"], "variables.safetensors"), "rb") as stream:
        write(job["out"], "model.safetensors", stream.read())
    write(job["out"], "report.json", b"{}")
    if word == "pipe":
        os.mkfifo(os.path.join(job["out"], "manifest.json"))
    verdict = word if word in ("failed", "unproven") else "proven"
    parity = {"worst": "y:0", "max_abs": 1e-7, "max_rel": 2e-7, "tolerance": 1e-4}
    result = {
        "verdict": verdict,
        "reason": "no reference" if verdict == "unproven" else "1 output compared",
        "device": "cpu",
        "device_note": None,
        "seed": 0,
        "model": {"name": word, "config": {}},
        "tensors": 1,
        "parameters": 6,
        "parity": None if verdict == "unproven" else parity,
        "non_finite_weights": [],
        "warnings": [],
    }
    return say(event="done", job=job["job"], result=result, timings_s={"load": 0.1})


def main():
    stage = sys.argv[sys.argv.index("-m") + 1][len("stage_") :]
    versions = {"python": "3", **VERSIONS.get(sys.argv[-1], {})}
    say(event="ready", stage=stage, versions=versions, import_s=0.0)
    for line in sys.stdin.buffer:
        job = json.loads(line)
        say(event="started", job=job["job"])
        {"extract": extract, "load": load}[stage](job)


if __name__ == "__main__":
    main()
