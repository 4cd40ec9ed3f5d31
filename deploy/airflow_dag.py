"""Every night: scores, then the audience; on the first of a month a new model before. For Airflow 3.

A task that is run again gives the same bytes. `{{ ds }}` is the day that a run is about.
"""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

FOLDER, LOG = "/srv/clv", "orders/*.parquet"
"""FOLDER holds clv.toml, with the columns of the log and the plan of campaigns, and mlflow.db."""

with DAG("clv", schedule="15 3 * * *", catchup=False) as dag:
    train = BashOperator(
        task_id="train",
        # 3: the champion stays, which is an answer and no failure.
        bash_command="[[ {{ ds }} != *-01 ]] || "
        f"clvml train '{LOG}' --as-of {{{{ ds }}}} --register clv || [[ $? == 3 ]]",
        cwd=FOLDER,
    )
    predict = BashOperator(
        task_id="predict",
        bash_command=f"clvml predict '{LOG}' --as-of {{{{ ds }}}} --model models:/clv@champion --out scores.parquet",
        cwd=FOLDER,
    )
    audience = BashOperator(
        task_id="audience",
        bash_command="clvml audience scores.parquet --plan clv.toml --out audience-{{ ds }}.csv",
        cwd=FOLDER,
    )
    train >> predict >> audience
