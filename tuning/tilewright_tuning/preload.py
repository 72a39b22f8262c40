"""What every evaluator has before it starts: imported by the process that they are forked from.

TVM is imported, the loop that measures how fast a core is now is compiled, and the dot product of this host is parsed:
a second and a quarter that no evaluator spends again.
"""

from tilewright_kernels.isa.intrinsics import require
from tilewright_kernels.isa.paths import PATHS, host_isas
from tilewright_kernels.isa.peak import canary_us
from tilewright_tuning import evaluation

__all__ = ["evaluation"]

canary_us(host_isas()[0])
require(PATHS[host_isas()[0]].dot.name)
