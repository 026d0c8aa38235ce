"""The types of the names that `__init__.py` loads when they are used."""

from netdistance.checkpoints import open_checkpoint as open_checkpoint
from netdistance.linalg.conv_norm import conv_norm as conv_norm
from netdistance.linalg.spectral_norm import spectral_norm as spectral_norm
from netdistance.quantities import Estimate as Estimate
from netdistance.quantities import Exact as Exact
from netdistance.quantities import Interval as Interval
from netdistance.quantities import Quantity as Quantity
from netdistance.quantities import Skipped as Skipped
from netdistance.quantities import point as point
from netdistance.report.document import Report as Report
from netdistance.report.fragment import render_fragment as render_fragment
from netdistance.report.json import render_json as render_json
from netdistance.report.renderers import render as render
from netdistance.report.saved import read_report as read_report
from netdistance.report.text import render_text as render_text
from netdistance.studies.audit import AuditOptions as AuditOptions
from netdistance.studies.audit import audit as audit
from netdistance.studies.compare import CompareOptions as CompareOptions
from netdistance.studies.compare import compare as compare
from netdistance.studies.gradients import GradientsOptions as GradientsOptions
from netdistance.studies.gradients import gradients as gradients
from netdistance.studies.perturb import PerturbOptions as PerturbOptions
from netdistance.studies.perturb import perturb as perturb
from netdistance.studies.sensitivity import SensitivityOptions as SensitivityOptions
from netdistance.studies.sensitivity import sensitivity as sensitivity
from netdistance.studies.simulate import SimulateOptions as SimulateOptions
from netdistance.studies.simulate import simulate as simulate
from netdistance.studies.train import TrainOptions as TrainOptions
from netdistance.studies.train import train as train
from netdistance.studies.width import WidthOptions as WidthOptions
from netdistance.studies.width import width as width
from netdistance.training.tasks.task import Task as Task

__version__: str
