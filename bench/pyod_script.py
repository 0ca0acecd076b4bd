"""pyod's AutoEncoder at its defaults: what anomaly_tables.py and anomaly_scoring.py hold narrows against.

Reads arrays ``A`` (rows of the fit) and ``B`` (rows to score) from an npz file, writes the scores as an npy file, and
prints one line of JSON: the seconds of the fit and of the scoring, with one thread.

    python bench/pyod_script.py GIVEN.npz SCORES.npy SEED

An environment for it: python -m venv ENV, then ENV/bin/pip install torch==2.13.0 pyod tqdm.
"""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    import numpy as np
    import torch
    from pyod.models.auto_encoder import AutoEncoder

    torch.set_num_threads(1)
    with np.load(sys.argv[1]) as given:
        A, B = given["A"], given["B"]
    # The first fit of a process also pays for what is imported late.
    AutoEncoder(epoch_num=1, verbose=0).fit(A[:64])
    start = time.perf_counter()
    model = AutoEncoder(random_state=int(sys.argv[3]), verbose=0)
    model.fit(A)
    fitted = time.perf_counter()
    scores = model.decision_function(B)
    done = time.perf_counter()
    np.save(sys.argv[2], scores)
    print(json.dumps({"seconds": fitted - start, "scoring": done - fitted}))


if __name__ == "__main__":
    main()
