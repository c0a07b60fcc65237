"""How results appear in a notebook, and as pandas frames."""

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas


class Shown:
    """Shows in a notebook what ``print`` shows, with aligned columns.

    >>> class Words(Shown):
    ...     def __str__(self): return "a < b"
    >>> Words()._repr_html_()
    '<pre>a &lt; b</pre>'
    """

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def frame(columns: Mapping[str, Sequence[Any]]) -> "pandas.DataFrame":
    """A pandas frame with these columns.

    Raises: ImportError if pandas is not installed.

    >>> frame({"layer": ["conv1"], "parameters": [448]}).shape
    (1, 2)
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("to_pandas: expected pandas; install it: pip install pandas.") from None
    return pandas.DataFrame(dict(columns))
