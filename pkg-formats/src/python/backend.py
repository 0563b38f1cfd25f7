"""Build backend of this source distribution: packs src/ into a wheel with the standard library alone."""

import base64
import hashlib
import os
import zipfile

# Name and version in the forms that file names use.
STEM = "@STEM@"


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _info():
    wheel = "Wheel-Version: 1.0\nGenerator: teamsim\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return {"METADATA": _read("PKG-INFO"), "WHEEL": wheel.encode("utf-8")}


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    directory = STEM + ".dist-info"
    os.mkdir(os.path.join(metadata_directory, directory))
    for name, content in _info().items():
        with open(os.path.join(metadata_directory, directory, name), "wb") as file:
            file.write(content)
    return directory


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = {}
    for folder, folders, names in os.walk("src"):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            files[os.path.relpath(path, "src").replace(os.sep, "/")] = _read(path)
    for name, content in _info().items():
        files["%s.dist-info/%s" % (STEM, name)] = content
    record = ""
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode("ascii").rstrip("=")
        record += "%s,sha256=%s,%d\n" % (path, digest, len(content))
    record_path = STEM + ".dist-info/RECORD"
    files[record_path] = (record + record_path + ",,\n").encode("utf-8")
    wheel = STEM + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return wheel
