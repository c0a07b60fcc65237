"""``python -m audit.zoo``: write the kept tables anew."""

import audit
from audit.zoo import FOLDER, written
from unetzoo.registry import list_models, skeleton
from unetzoo.utils.console import load_keras
from unetzoo.utils.files import replacing

load_keras()
for old in FOLDER.glob("*.json"):
    if old.stem not in list_models():
        old.unlink()
for name in list_models():
    with replacing(FOLDER / f"{name}.json") as beside:
        beside.write_text(written(audit.table(skeleton(name))), encoding="utf-8")
