"""Checks the CronJob and the alert rules of the documentation."""

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
[mount] = container["volumeMounts"]
[volume] = pod["volumes"]
assert mount["name"] == volume["name"] and "secret" in volume
for variable in container["env"]:
    if variable["name"].endswith("_FILE"):
        assert variable["value"].startswith(mount["mountPath"] + "/"), variable
    else:
        assert variable["name"] == "CLOUDFLARE_ACCOUNT_ID", variable

with open(sys.argv[2], encoding="utf-8") as file:
    rules = yaml.safe_load(file.read().split("```yaml\n")[1].split("```")[0])
assert all(rule["alert"] and rule["expr"] for group in rules["groups"] for rule in group["rules"])
print("\n".join(container["args"]))
