"""A Slurm cluster of one node, this machine, for the tests: Debian's munge and slurm-wlm, started without systemd."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

__all__ = ["OneNodeSlurm", "missing"]

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
WAIT = 90.0
# Seconds that a job has waited before it is hurried.
PATIENCE = 4.0


def missing() -> str | None:
    """Why no Slurm can be started here; None where it can."""
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    absent = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if absent:
        return f"no {', '.join(absent)} here: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "a Slurm of one node is started by root alone"
    return None


class OneNodeSlurm:
    """Daemons below ``folder``, on ports of their own; ``environment`` is what a client needs to find them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []
        self.waiting: dict[str, float] = {}
        self.host = socket.gethostname().partition(".")[0]
        self.socket = folder / "munge.socket"
        self.configuration = folder / "slurm.conf"
        self.environment = {
            "SLURM_CONF": str(self.configuration),
            "PATH": os.environ["PATH"] + os.pathsep + "/usr/sbin",
        }

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)  # munge takes no folder that others may write to
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.configuration.write_text(self._configuration())
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self._daemon(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.socket}",
            f"--pid-file={self.folder / 'munged.pid'}", f"--log-file={self.folder / 'munged.log'}",
            f"--seed-file={self.folder / 'munged.seed'}",
        )  # fmt: skip
        self._wait("munged", self.socket.exists)
        self._daemon("slurmctld", "-D", "-c", "-f", str(self.configuration))
        self._wait("slurmctld", lambda: self.say("scontrol", "ping").returncode == 0)
        self._daemon("slurmd", "-D", "-N", self.host, "-f", str(self.configuration))
        self._wait("slurmd", lambda: "idle" in self.say("sinfo", "-h", "-o", "%T").stdout)

    def stop(self) -> None:
        self.say("scancel", "--user=root")
        time.sleep(1)
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _configuration(self) -> str:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("", 0))
            second.bind(("", 0))
            ports = first.getsockname()[1], second.getsockname()[1]
        return f"""\
ClusterName=tests
SlurmctldHost={self.host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={self.socket}
CredType=cred/munge
StateSaveLocation={self.folder / "state"}
SlurmdSpoolDir={self.folder / "spool"}
SlurmctldPidFile={self.folder / "slurmctld.pid"}
SlurmdPidFile={self.folder / "slurmd.pid"}
SlurmctldLogFile={self.folder / "slurmctld.log"}
SlurmdLogFile={self.folder / "slurmd.log"}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=60
JobRequeue=1
NodeName={self.host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=all Nodes={self.host} Default=YES MaxTime=INFINITE State=UP
"""

    def _daemon(self, *command: str) -> None:
        log = (self.folder / f"{command[0]}.out").open("w")
        environment = {**os.environ, **self.environment}
        program = shutil.which(command[0], path=self.environment["PATH"])
        self.processes.append(
            subprocess.Popen([program, *command[1:]], stdout=log, stderr=subprocess.STDOUT, env=environment)
        )
        log.close()

    def say(self, *command: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def hurry(self) -> bool:
        """Whether jobs wait; they are started, where Slurm by itself waits for two minutes after a requeue.

        A job that it tried to start while the last of the same number was still leaving is held, and released here. In
        the second in which that left its credentials are void, and with them a job that starts then: so not at once.
        """
        lines = self.say("squeue", "-h", "-t", "PENDING", "-o", "%A %r").stdout.splitlines()
        for job, _, reason in (line.partition(" ") for line in lines):
            if time.monotonic() - self.waiting.setdefault(job, time.monotonic()) < PATIENCE:
                continue
            if "held" in reason.lower():
                self.say("scontrol", "release", job)
            self.say("scontrol", "update", f"JobId={job}", "StartTime=now")
        return bool(lines)

    def account(self) -> str:
        """What the cluster knows of its jobs, to be read where a test waits in vain."""
        log = (self.folder / "slurmctld.log").read_text()[-3000:]
        return self.say("scontrol", "show", "job").stdout + log

    def _wait(self, name: str, ready) -> None:
        deadline = time.monotonic() + WAIT
        while not ready():
            ended = self.processes[-1].poll() is not None
            if ended or time.monotonic() > deadline:
                logs = "".join(
                    path.read_text()[-1500:]
                    for path in self.folder.glob(f"{name}.*")
                    if path.suffix in (".out", ".log")
                )
                self.stop()
                raise RuntimeError(f"{name} does not start: {logs}")
            time.sleep(0.3)
