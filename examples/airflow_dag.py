"""Corpusbeam every night in Airflow (2.4 or newer): put this file into the DAGs folder and set the two Variables.

What an exit code means to the scheduler:

0    published, or nothing has changed: success
1    failed (disk, network, memory): retried; a retry takes over what is finished and embeds nothing twice
2    settings or input are wrong: failed without a retry, somebody must repair them
3    a gate refused (too many deletions, recall, quarantine): failed without a retry, what was published before stays
4    another run has the root: skipped, that run does the work
130, 143    stopped by a signal: retried
"""

import signal
import subprocess
from datetime import datetime, timedelta

from airflow import DAG
from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.models import Variable
from airflow.operators.python import PythonOperator


def reindex() -> None:
    """Run `corpusbeam reindex` and translate its exit code."""
    command = [
        Variable.get("corpusbeam_command", default_var="/opt/corpusbeam/.venv/bin/corpusbeam"),
        "reindex",
        "--config",
        Variable.get("corpusbeam_config", default_var="/etc/corpusbeam/corpus.yaml"),
        "--format",
        "json",
    ]
    process = subprocess.Popen(command)
    try:
        code = process.wait()
    except BaseException:
        # The task was stopped or ran out of time: so does the run, which removes its temporary files on SIGTERM.
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    if code in (2, 3):
        raise AirflowFailException(f"corpusbeam exited {code}: see the log above; trying again would end in the same way")
    if code == 4:
        raise AirflowSkipException("another run has the root")
    if code:
        raise AirflowException(f"corpusbeam exited {code}")


with DAG(
    dag_id="corpusbeam",
    schedule="15 2 * * *",
    start_date=datetime(2026, 1, 1),
    # Nights that were missed are not made up for: the next run takes the corpus as it is then.
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10), "execution_timeout": timedelta(hours=6)},
    tags=["corpusbeam"],
) as dag:
    PythonOperator(task_id="reindex", python_callable=reindex)
