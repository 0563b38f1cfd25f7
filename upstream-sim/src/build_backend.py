"""Build backend made by teamsim, in the place of the real one: packs a pure Python project with the standard library.

Reads name, version and dependencies from [project] in pyproject.toml. Packs src/, or else the packages and modules beside
pyproject.toml. Knows no extension modules, no dynamic metadata but a literal __version__, no plugins.
"""

import base64
import hashlib
import io
import os
import re
import tarfile
import zipfile

try:
    import tomllib
except ImportError:  # before Python 3.11
    tomllib = None

_SKIPPED = {"tests", "test", "docs", "build", "dist", "node_modules", "venv", "__pycache__"}


def get_requires_for_build_wheel(config_settings=None):
    return []


get_requires_for_build_sdist = get_requires_for_build_editable = get_requires_for_build_wheel


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    stem, _, metadata, _ = _project()
    folder = stem + ".dist-info"
    os.mkdir(os.path.join(metadata_directory, folder))
    for name, text in metadata.items():
        with open(os.path.join(metadata_directory, folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    return folder


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    stem, _, metadata, root = _project()
    return _wheel(wheel_directory, stem, metadata, _modules(root))


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    stem, name, metadata, root = _project()
    path = {"__editable__%s.pth" % name: (os.path.abspath(root) + "\n").encode()}
    return _wheel(wheel_directory, stem, metadata, path)


def build_sdist(sdist_directory, config_settings=None):
    stem, _, metadata, root = _project()
    files = {os.path.relpath(os.path.join(root, path)): data for path, data in _modules(root).items()}
    with open("pyproject.toml", "rb") as file:
        files["pyproject.toml"] = file.read()
    files["PKG-INFO"] = metadata["METADATA"].encode()
    with tarfile.open(os.path.join(sdist_directory, stem + ".tar.gz"), "w:gz") as archive:
        for path, data in sorted(files.items()):
            entry = tarfile.TarInfo("%s/%s" % (stem, path))
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stem + ".tar.gz"


def _project():
    if tomllib is None or not os.path.exists("pyproject.toml"):
        raise RuntimeError("the build backend made by teamsim needs Python 3.11 and a pyproject.toml with [project]")
    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file).get("project")
    if not project or "name" not in project:
        raise RuntimeError("the build backend made by teamsim needs [project] with a name in pyproject.toml")
    root = "src" if os.path.isdir("src") else "."
    name = re.sub(r"[-_.]+", "_", project["name"]).lower()
    version = project.get("version") or _literal_version(root) or "0.0.0"
    lines = ["Metadata-Version: 2.1", "Name: " + project["name"], "Version: " + version]
    if "requires-python" in project:
        lines.append("Requires-Python: " + project["requires-python"])
    lines += ["Requires-Dist: " + requirement for requirement in project.get("dependencies", [])]
    for extra, requirements in project.get("optional-dependencies", {}).items():
        lines.append("Provides-Extra: " + extra)
        for requirement in requirements:
            what, _, marker = requirement.partition(";")
            marker = "(%s) and " % marker.strip() if marker else ""
            lines.append('Requires-Dist: %s ; %sextra == "%s"' % (what.strip(), marker, extra))
    metadata = {
        "METADATA": "\n".join(lines) + "\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: teamsim\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    scripts = project.get("scripts", {})
    if scripts:
        metadata["entry_points.txt"] = "[console_scripts]\n" + "".join("%s = %s\n" % item for item in scripts.items())
    return "%s-%s" % (name, version), name, metadata, root


def _modules(root):
    files = {}
    for folder, folders, names in os.walk(root):
        at_top = os.path.samefile(folder, root)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not f.endswith(".egg-info")
                            and f not in (_SKIPPED if at_top else {"__pycache__"}))
        for name in sorted(names):
            path = os.path.join(folder, name)
            # Beside pyproject.toml there is more than the project's modules.
            if at_top and not (name.endswith(".py") and name not in ("setup.py", "conftest.py", "noxfile.py")):
                continue
            with open(path, "rb") as file:
                files[os.path.relpath(path, root).replace(os.sep, "/")] = file.read()
    return files


def _literal_version(root):
    for path, data in sorted(_modules(root).items()):
        found = path.endswith(".py") and re.search(rb"^__version__\s*=\s*[\"']([^\"']+)", data, re.M)
        if found:
            return found.group(1).decode()
    return None


def _wheel(directory, stem, metadata, files):
    files = dict(files)
    for name, text in metadata.items():
        files["%s.dist-info/%s" % (stem, name)] = text.encode()
    record = ""
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        record += "%s,sha256=%s,%d\n" % (path, digest, len(data))
    own = stem + ".dist-info/RECORD"
    files[own] = (record + own + ",,\n").encode()
    wheel = stem + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, wheel), "w") as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return wheel
