"""Two workers give the update of one process; killed and resumed, they end as whole runs do."""

import os

import pytest

from keras_vaegan.training.backend.tensorflow_devices import find_cluster

OTHERS = ()
if os.environ.get("KERAS_VAEGAN_EVERY_PRESET"):  # two CPUs of one machine: test_distribution.py
    OTHERS = ("vae", "modality", "resnet")
SLURM = {
    "SLURM_JOB_ID": "7", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "node[1-2]", "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
}  # fmt: skip


def test_slurm_tells_the_workers_their_places(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    resolver = find_cluster()
    assert resolver.cluster_spec().as_dict() == {"worker": ["node1:8888", "node2:8888"]}
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)


@pytest.fixture(scope="module")
def options(data):
    """What a run of rrdbnet is given: two steps of its first stage, four of its second."""
    return [data, "--deterministic", "--steps", 6]


@pytest.fixture(scope="module")
def whole(processes, options, tmp_path_factory):
    """The folder of two workers whom SLURM tells their places, and what both wrote."""
    folder = tmp_path_factory.mktemp("whole")
    slurm = {**SLURM, "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2"}
    command = [processes.HERE / "worker.py", "rrdbnet", folder, *options]
    workers = [processes.start(*command, **slurm | {"SLURM_PROCID": str(n)}) for n in range(2)]
    return folder, processes.finish_all(workers)


@pytest.mark.slow
def test_two_workers_train_under_slurm(processes, whole):
    """Together, not each alone: one of them writes the run's folder."""
    folder, written = whole
    assert processes.find_difference(folder / "rrdbnet.0.npz", folder / "rrdbnet.1.npz") == 0
    assert ["saved" in text for text in written] == [True, False]


@pytest.fixture(scope="module")
def two(processes, data, whole, tmp_path_factory):
    """The folder of every family trained by two workers, by family."""
    folders = {"rrdbnet": whole[0]}
    if OTHERS:
        folder = tmp_path_factory.mktemp("two")
        processes.finish_all(processes.start_workers(",".join(OTHERS), folder, data, "--steps", 2))
        folders |= dict.fromkeys(OTHERS, folder)
    return folders


@pytest.fixture(scope="module")
def one(processes, data, options, tmp_path_factory):
    """The folder of every family trained by one process."""
    folder = tmp_path_factory.mktemp("one")
    script = processes.HERE / "worker.py"
    processes.finish(processes.start(script, "rrdbnet", folder, *options))
    if OTHERS:
        processes.finish(processes.start(script, ",".join(OTHERS), folder, data, "--steps", 2))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("family", ("rrdbnet", *OTHERS))
def test_two_workers_agree_with_each_other_and_with_one_process(processes, two, one, family, tiny):
    two = two[family]
    assert processes.find_difference(two / f"{family}.0.npz", two / f"{family}.1.npz") == 0
    difference = tiny.compare_roughly(
        processes.read_arrays(two / f"{family}.0.npz"),
        processes.read_arrays(one / f"{family}.0.npz"),
    )
    print(f"{family}: two workers against one process {difference:.1e}")
    assert difference <= processes.TOLERANCE
    assert (two / family / "state" / "state.h5").exists()  # the chief's, once
    lines = (two / family / "logs" / "history.csv").read_text().splitlines()
    assert len(lines) == 1 + (1 if family in OTHERS else 3)


@pytest.mark.slow
@pytest.mark.skipif("KERAS_VAEGAN_EVERY_PRESET" not in os.environ, reason="four more processes")
def test_killed_workers_resume_to_the_same_weights(processes, options, whole, tmp_path):
    """TF_CONFIG tells these their places."""
    (folder, _), cut = whole, tmp_path
    workers = processes.start_workers("rrdbnet", cut, *options)
    processes.wait_for(cut / "rrdbnet" / "state" / "state.h5", workers)
    for worker in workers[::-1]:
        assert worker.poll() is None
        worker.kill()
        worker.communicate()
    processes.finish_all(processes.start_workers("rrdbnet", cut, *options, "--resume"))
    for index in range(2):
        assert (
            processes.find_difference(folder / "rrdbnet.0.npz", cut / f"rrdbnet.{index}.npz") == 0
        )
