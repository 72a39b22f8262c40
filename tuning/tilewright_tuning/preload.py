"""What every evaluator has before it starts: imported by the process that they are forked from.

TVM is imported, the loop that measures how fast a core is now is compiled, and a small kernel was built: a second and
a half that no evaluator spends again.
"""

import signal
import traceback

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.spaces import space_of
from tilewright_kernels.isa.paths import host_isas
from tilewright_kernels.isa.peak import canary_us
from tilewright_kernels.runtime.build import default_candidate
from tilewright_tuning.evaluation import Evaluation

SMALL = Workload(batch=1, in_channels=16, height=4, width=4, out_channels=16, kernel_size=(1, 1))


def warm_up(target: Target) -> None:
    """Build one kernel, so that parsers, passes and LLVM have what they make at their first use."""
    canary_us(target.isa)
    evaluation = Evaluation()
    evaluation.prepare(SMALL, target)
    evaluation.build(default_candidate(SMALL, space_of(SMALL, target.isa), target))


signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who asks the attempt to leave may ask its whole group

try:
    warm_up(Target(isa=host_isas()[0]))
except Exception:
    traceback.print_exc()  # without this process nothing could be tuned, not even for other paths
