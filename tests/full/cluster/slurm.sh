#!/usr/bin/env bash
# A real SLURM on one machine, for tests: a controller and two nodes of two CPUs, from Debian's packages, without systemd.
#
#   apt-get install --no-install-recommends slurm-wlm munge
#   tests/full/cluster/slurm.sh start FOLDER     (as root; everything it writes lies in FOLDER, but for the link /etc/slurm/slurm.conf)
#   tests/full/cluster/slurm.sh stop FOLDER
set -eu
action=$1
folder=$(mkdir -p "$2" && cd "$2" && pwd)
host=$(hostname -s)

stop() {
  for name in slurmd-n1 slurmd-n2 slurmctld munged; do
    if [ -s "$folder/run/$name.pid" ]; then kill "$(cat "$folder/run/$name.pid")" 2>/dev/null || true; fi
  done
  if [ "$(readlink /etc/slurm/slurm.conf)" = "$folder/slurm.conf" ]; then rm /etc/slurm/slurm.conf; fi
}

start() {
  if [ -e /etc/slurm/slurm.conf ]; then echo "there is a SLURM here: /etc/slurm/slurm.conf" >&2; exit 2; fi
  mkdir -p "$folder"/{run,log,state,spool/n1,spool/n2} /etc/slurm
  chmod 755 "$folder" "$folder/run"
  cat > "$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/run/munge.sock
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=300
JobRequeue=1
DebugFlags=NO_CONF_HASH
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP DefMemPerCPU=1000
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=16821 CPUs=2 RealMemory=8000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=16822 CPUs=2 RealMemory=8000 State=UNKNOWN
END
  ln -s "$folder/slurm.conf" /etc/slurm/slurm.conf # with SLURM_CONF alone, jobs lose it
  head -c 1024 /dev/urandom > "$folder/munge.key"
  chmod 400 "$folder/munge.key"
  munged --force --key-file="$folder/munge.key" --socket="$folder/run/munge.sock" --pid-file="$folder/run/munged.pid" \
    --log-file="$folder/log/munged.log" --seed-file="$folder/run/munge.seed"
  slurmctld
  slurmd -N n1
  slurmd -N n2
  for _ in $(seq 120); do
    if [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; then return; fi
    sleep 1
  done
  sinfo >&2
  tail "$folder"/log/*.log >&2
  stop
  exit 1
}

"$action"
