from transforms.files import Progress, list_files, read_progress, write_bytes


def test_the_progress_of_a_folder_is_the_sum_over_its_tasks(folder):
    assert read_progress(folder) == 0
    tasks = [Progress(folder) for _ in range(3)]
    for i, task in enumerate(tasks):
        task.add(10)
        task.add(i)
        task.flush()
    assert read_progress(folder) == 33
    assert len(list_files(folder)) == 3
    tasks[0].add(7)
    tasks[0].flush()
    assert read_progress(folder) == 40


def test_the_first_count_is_seen_at_once_and_the_following_are_held_back(folder):
    task = Progress(folder)
    task.add(1)
    assert read_progress(folder) == 1
    for _ in range(1000):
        task.add(1)
    # One write per two seconds: a thousand counts take far less.
    assert read_progress(folder) < 1001
    task.flush()
    assert read_progress(folder) == 1001


def test_counts_are_written_again_after_a_while(folder, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("transforms.files.progress.time.monotonic", lambda: now[0])
    task = Progress(folder)
    seen = []
    for _ in range(5):
        task.add(1)
        seen.append(read_progress(folder))
        now[0] += 1.5
    assert seen == [1, 1, 3, 3, 5]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = Progress(None)
    task.add(5)
    task.flush()
    assert list(tmp_path.iterdir()) == []


def test_other_files_and_empty_files_do_not_count(folder):
    write_bytes(f"{folder}/readme.txt", b"99")
    write_bytes(f"{folder}/x.progress", b"")
    write_bytes(f"{folder}/y.progress", b"4")
    assert read_progress(folder) == 4
