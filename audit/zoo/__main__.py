"""``python -m audit.zoo``: rewrite the stored tables."""

import audit
from audit.zoo import FOLDER, stored_text
from unetzoo.registry import list_models, skeleton
from unetzoo.utils.console import load_keras
from unetzoo.utils.files import replacing

load_keras()
for old in FOLDER.glob("*.json"):
    if old.stem not in list_models():
        old.unlink()
for name in list_models():
    with replacing(FOLDER / f"{name}.json") as beside:
        beside.write_text(stored_text(audit.table(skeleton(name))), encoding="utf-8")
