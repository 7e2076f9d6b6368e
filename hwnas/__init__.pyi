from hwnas.api import Exported as Exported
from hwnas.api import ExportedFile as ExportedFile
from hwnas.api import Subnet as Subnet
from hwnas.api import Verified as Verified
from hwnas.api import export_subnet as export_subnet
from hwnas.api import extract_subnet as extract_subnet
from hwnas.api import find_subnets as find_subnets
from hwnas.api import latency_of as latency_of
from hwnas.api import load_accuracy as load_accuracy
from hwnas.api import load_latency as load_latency
from hwnas.api import load_space as load_space
from hwnas.api import load_table as load_table
from hwnas.api import open_workspace as open_workspace
from hwnas.api import verify_files as verify_files
from hwnas.api import workspace_space as workspace_space
from hwnas.core.arch import Architecture as Architecture
from hwnas.core.arch import SearchSpace as SearchSpace
from hwnas.core.errors import BudgetMissed as BudgetMissed
from hwnas.core.errors import DeviceError as DeviceError
from hwnas.core.errors import HwnasError as HwnasError
from hwnas.core.errors import InfeasibleError as InfeasibleError
from hwnas.core.errors import RegressionError as RegressionError
from hwnas.core.errors import UsageError as UsageError
from hwnas.core.errors import VerificationError as VerificationError
from hwnas.core.predict import Prediction as Prediction
from hwnas.latency.table import LatencyTable as LatencyTable
from hwnas.latency.trusted import TrustedLatency as TrustedLatency
from hwnas.workspace import Workspace as Workspace

__version__: str
__all__: list[str]
