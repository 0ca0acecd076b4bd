"""Labs: exercises as courses teach them, run on the reader's own machine and held against the simple answers.

A lab is data, systems, measures, the parts of a page and conclusions; one engine runs them all. What shows a result is
the command line (``narrows lab``) and the HTML page.
"""

from narrows.labs.catalogue import LABS, run_lab
from narrows.labs.engine import Lab, LabResult
from narrows.labs.page import write_lab_page

__all__ = ["LABS", "Lab", "LabResult", "run_lab", "write_lab_page"]
