"""The notebooks of examples/: every cell runs, and puts out what is stored; UPDATE=1 stores it anew."""

import ast
import contextlib
import io
import json
import os

import pytest


def run(cells, folder, monkeypatch):
    """Run the code of a notebook as one does from top to bottom; yield the outputs of each cell."""
    monkeypatch.setenv("DATAAUDIT_DATA", str(folder))
    names = {"__name__": "__main__"}
    for cell in cells:
        body = ast.parse("".join(cell["source"])).body
        value, out = None, io.StringIO()
        shown = isinstance(body[-1], ast.Expr)
        with contextlib.redirect_stdout(out):
            exec(compile(ast.Module(body[:-1] if shown else body, []), "<cell>", "exec"), names)
            if shown:
                value = eval(compile(ast.Expression(body[-1].value), "<cell>", "eval"), names)
        outputs = []
        if text := out.getvalue():
            outputs.append({"name": "stdout", "output_type": "stream", "text": text.splitlines(True)})
        if value is not None:
            data = {"text/html": [value._repr_html_()], "text/plain": ["<pictures>"]}
            outputs.append({"data": data, "metadata": {}, "output_type": "display_data"})
        yield outputs


def words(outputs):
    return ["".join(one["text"]) for one in outputs if one["output_type"] == "stream"]


def code(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return notebook, [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_mnist_notebook_puts_out_what_it_stores(root, data_folder, monkeypatch):
    path = root / "examples" / "mnist.ipynb"
    notebook, cells = code(path)
    found = list(run(cells, data_folder, monkeypatch))
    if os.environ.get("UPDATE"):
        for number, (cell, outputs) in enumerate(zip(cells, found, strict=True), start=1):
            cell |= {"outputs": outputs, "execution_count": number}
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [words(outputs) for outputs in found] == [words(cell["outputs"]) for cell in cells]
    assert [len(outputs) for outputs in found] == [len(cell["outputs"]) for cell in cells]


def test_without_mnist_it_takes_the_digits_of_scikit_learn(root, tmp_path, monkeypatch):
    _, cells = code(root / "examples" / "mnist.ipynb")
    found = list(run(cells, tmp_path / "absent", monkeypatch))
    assert "scikit-learn" in found[0][0]["text"][0]
    assert any("src='data:image/png;base64," in str(one) for outputs in found for one in outputs)
