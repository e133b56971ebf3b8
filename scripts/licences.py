"""Every crate in the lock file has a licence that deny.toml allows. The small part of cargo-deny that
needs nothing but cargo and Python, for machines without it."""

import json
import re
import subprocess
import sys

try:
    import tomllib
except ImportError:  # Python before 3.11
    print("licences: needs Python 3.11 or newer, not checked")
    sys.exit(0)

with open("deny.toml", "rb") as file:
    rules = tomllib.load(file)["licenses"]
allowed = set(rules["allow"])
excepted = {e["crate"]: set(e["allow"]) for e in rules.get("exceptions", [])}

metadata = json.loads(
    subprocess.check_output(["cargo", "metadata", "--locked", "--format-version", "1"])
)


def fits(expression: str, extra: set[str]) -> bool:
    """SPDX expression, evaluated with the allowed licences as true."""
    text = expression.replace("/", " OR ")
    words = re.findall(r"\(|\)|[^\s()]+", text)
    out, skip = [], False
    for i, word in enumerate(words):
        if skip:
            skip = False
            continue
        if word in "()":
            out.append(word)
        elif word.upper() in ("AND", "OR"):
            out.append(word.lower())
        elif word.upper() == "WITH":
            out[-1] = str(f"{words[i - 1]} WITH {words[i + 1]}" in allowed | extra)
            skip = True
        else:
            out.append(str(word in allowed | extra))
    return bool(eval(" ".join(out)))  # only the words above can stand in it


faults = []
for package in metadata["packages"]:
    if package["source"] is None:
        continue
    licence = package["license"]
    if licence is None or not fits(licence, excepted.get(package["name"], set())):
        faults.append(f"{package['name']} {package['version']}: {licence}")
for fault in faults:
    print(f"error: licence not in deny.toml: {fault}", file=sys.stderr)
print(f"licences: {len(metadata['packages'])} crates, {len(faults)} not allowed")
sys.exit(1 if faults else 0)
