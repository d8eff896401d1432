"""Recording in Kubernetes: the objects that run an image under the sensor, which debloat itself never talks to.

The pod has what a recorded container has here (`session.container_spec`): user 0 and two capabilities, which the sensor
gives up before the program starts. The sensor lies in a ConfigMap, so no image has to be published for it.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from debloat.core.errors import UsageError
from debloat.core.model import Image
from debloat.core.recipe import RunOptions
from debloat.image.reader import SENSOR
from debloat.record.home import TRACES
from debloat.record.session import MAIN, Recorder, container_spec

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def manifest(image: Image, name: str, args: tuple[str, ...] | None, user: str, recorder: Recorder) -> dict[str, Any]:
    """A `List` of the ConfigMap and the Pod. UsageError for a name that no pod can have, or nothing to run."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name {name!r} is not a name for a pod", "use up to 63 lower-case letters, digits and `-`")
    config = image.config
    if not (config.entrypoint or (config.cmd if args is None else args)):
        raise UsageError(f"{image.reference} has neither ENTRYPOINT nor CMD: there is nothing to run", "pass --args")
    spec = container_spec(image.reference, config, args, RunOptions(user=user), recorder, (), "")
    sensor = f"{name}-sensor"
    container: dict[str, Any] = {
        "name": name,
        "image": image.reference,
        # Kubernetes expands `$(NAME)`, and takes `$$(` for one that it is to leave alone.
        "command": [word.replace("$(", "$$(") for word in spec.entrypoint],
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": True,
            "capabilities": {"add": list(spec.cap_add)},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "sensor", "mountPath": SENSOR, "subPath": "sensor", "readOnly": True},
            {"name": "trace", "mountPath": TRACES},
        ],
    }
    if ports := [p.partition("/") for p in config.ports]:
        container["ports"] = [{"containerPort": int(number), "protocol": kind.upper()} for number, _, kind in ports]
    pod = {
        "containers": [container],
        "restartPolicy": "Never",
        "volumes": [
            {"name": "sensor", "configMap": {"name": sensor, "defaultMode": 0o555}},
            {"name": "trace", "emptyDir": {}},
        ],
    }
    encoded = base64.b64encode(recorder.sensor).decode()
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": sensor},
                "binaryData": {"sensor": encoded},
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "annotations": {"debloat/collect": collect(name)}},
                "spec": pod,
            },
        ],
    }


def collect(name: str) -> str:
    """The shell line that gets what was recorded out of the pod while it runs; it needs no program of the image."""
    request = rf"read 2\n/{MAIN}.events\0/{MAIN}.state\0quit\n"
    return f"printf '{request}' | kubectl exec -i {name} -c {name} -- {SENSOR} serve {TRACES} > {name}.recorded"
