"""What is learned: built-in tasks, and those of a user's own file."""

from netdistance.training.tasks.choices import TASKS, TaskChoice, load_task, task_names
from netdistance.training.tasks.losses import sign_accuracy, softplus_loss
from netdistance.training.tasks.task import Task, data_fingerprint

__all__ = [
    "TASKS",
    "Task",
    "TaskChoice",
    "data_fingerprint",
    "load_task",
    "sign_accuracy",
    "softplus_loss",
    "task_names",
]
