"""Checks the CronJob and prints the arguments of its container."""

import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    job = yaml.safe_load(file)
assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
spec = job["spec"]
assert spec["concurrencyPolicy"] == "Forbid"
pod = spec["jobTemplate"]["spec"]["template"]["spec"]
assert pod["restartPolicy"] == "Never" and pod["securityContext"]["runAsNonRoot"] is True
[container] = pod["containers"]
assert container["args"][0] == "sync"
security = container["securityContext"]
assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
# Secrets are files on a mounted volume; no variable contains one.
mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
volumes = {volume["name"]: volume for volume in pod["volumes"]}
assert mounts.keys() == volumes.keys() == {"secrets", "tmp"}
mount = mounts["secrets"]
assert "secret" in volumes["secrets"] and mount["readOnly"]
# Everything that the container may fill has a limit.
assert volumes["tmp"]["emptyDir"]["sizeLimit"]
assert {"memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()
for variable in container["env"]:
    if variable["name"].endswith("_FILE"):
        assert variable["value"].startswith(mount["mountPath"] + "/"), variable
    else:
        assert variable["name"] == "CLOUDFLARE_ACCOUNT_ID", variable
print("\n".join(container["args"]))
