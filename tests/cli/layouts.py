"""OCI images made by hand, as the files of a layout and as tars."""

import hashlib
import io
import json
import os
import tarfile


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def pack(members):
    """A tar of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


FROM_OTHER = {"io.sbx.base": "host", "io.sbx.host": "slackware 1 " + os.uname().machine + " " + "0" * 64}


def layout_of(layer, notes=None):
    """The files of a layout with this layer, by hand: index, config, manifest, layer."""
    config = json.dumps({"os": "linux", "architecture": "amd64", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(layer)]}}).encode()
    kind = "application/vnd.oci.image."
    manifest = json.dumps({
        "schemaVersion": 2, "annotations": notes or {},
        "config": {"mediaType": kind + "config.v1+json", "digest": "sha256:" + sha256(config), "size": len(config)},
        "layers": [{"mediaType": kind + "layer.v1.tar", "digest": "sha256:" + sha256(layer), "size": len(layer)}],
    }).encode()
    index = json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": kind + "manifest.v1+json", "digest": "sha256:" + sha256(manifest), "size": len(manifest)}]}).encode()
    return [("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), ("index.json", index),
            *(("blobs/sha256/" + sha256(b), b) for b in (config, manifest, layer))]


def small_layout(_p):
    """One with one layer."""
    return dict(layout_of(pack([("etc/hello", b"hello")])))


