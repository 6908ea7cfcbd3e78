"""Writes FILES CSV files in dialects chosen at random, each with the rows that Python's csv module reads from it.

    dialects.py FOLDER FILES SEED

N.csv is a file, N.expected.csv has its ids and flags in plain CSV. Files whose name begins with `broken` are damaged
after they were written; `expected` has what the module reads of them, and is missing if it refuses them.
"""
import csv
import pathlib
import random
import sys

folder, files, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
NOTES = ["", "x", "a b", 'say "hi"', "two\nlines", "cr\rin", "crlf\r\nin", '"', '""', "5'", ",", ";", "\t", "|", "a,b;c\td|e", " ", "ä"]
FLAGS = ["true", "false", "", "TRUE", "f", "1", "0.0", "NULL", "\\N"]
MEANS = {"true": "true", "TRUE": "true", "1": "true", "false": "false", "f": "false", "0.0": "false"}


def dialect():
    return {
        "delimiter": chance.choice(",;\t|"),
        "quoting": chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        "lineterminator": chance.choice(["\n", "\r\n", "\r"]),
    }


def write_expected(name, rows):
    with open(folder / f"{name}.expected.csv", "w", newline="") as to:
        writer = csv.writer(to, lineterminator="\n")
        writer.writerow(["object_id", "has_stored_data"])
        writer.writerows(rows)


def parsed(text, how):
    """The ids and flags that the module reads; None if it refuses the text."""
    lines = text.splitlines(keepends=True)
    try:
        rows = list(csv.reader(lines, delimiter=how["delimiter"], strict=True))
    except csv.Error:
        return None
    header, rows = rows[0], [row for row in rows[1:] if any(cell.strip() for cell in row)]
    at, flag = header.index("object_id"), header.index("has_stored_data")
    found = []
    for row in rows:
        row += [""] * (len(header) - len(row))
        found.append((row[at].strip(), MEANS.get(row[flag].strip(), "")))
    return found


for number in range(files):
    how = dialect()
    columns = ["object_id", "has_stored_data"] + [f"note{n}" for n in range(chance.randrange(4))]
    chance.shuffle(columns)
    # The module writes a line end without quotation marks if it is not the dialect's, and then reads it as one.
    always_quoted = how["quoting"] != csv.QUOTE_MINIMAL
    notes = [note for note in NOTES if always_quoted or not {"\r", "\n"} & set(note)]
    path = folder / f"{number}.csv"
    rows = []
    with open(path, "w", newline="", encoding="utf-8") as to:
        writer = csv.writer(to, **how)
        writer.writerow(columns)
        for _ in range(chance.randrange(1, 30)):
            cells = {name: chance.choice(notes) for name in columns}
            cells["object_id"] = f"{chance.getrandbits(256):064x}"
            cells["has_stored_data"] = chance.choice(FLAGS)
            rows.append((cells["object_id"], MEANS.get(cells["has_stored_data"], "")))
            writer.writerow([cells[name] for name in columns])
    text = path.read_bytes().decode("utf-8")
    write_expected(number, rows)

    # The header stays as it is, so that both look at the same columns.
    head = len(text.splitlines(keepends=True)[0])
    broken = text
    for _ in range(chance.randrange(1, 4)):
        # Seldom within an id, where any damage is an error.
        at = chance.choice([at for at in range(head, len(broken)) if broken[at] not in "0123456789abcdef"])
        piece = chance.choice(['"', '""', how["delimiter"], "\n", "\r", "x", ""])
        broken = broken[:at] + piece + broken[at + chance.randrange(2) :]
    (folder / f"broken{number}.csv").write_bytes(broken.encode("utf-8"))
    if (found := parsed(broken, how)) is not None:
        write_expected(f"broken{number}", found)
