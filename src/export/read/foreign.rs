//! Files of other kinds, recognized so that an error can name them and the command that converts them.

use std::fmt;

use self::Remedy::{Convert, Other, Pipe};

/// A kind of file that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// With an article, or a participle.
    name: &'static str,
    remedy: Remedy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// The command writes rows to stdout.
    Pipe(&'static str),
    /// The command writes a file.
    Convert(&'static str),
    Other(&'static str),
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is {}: ", self.name)?;
        match self.remedy {
            Pipe(command) => write!(f, "use `{command} | durable-inventory diff - ...`"),
            Convert(command) => write!(f, "convert it, as in `{command}`"),
            Other(remedy) => f.write_str(remedy),
        }
    }
}

const UNKNOWN: Foreign = Foreign {
    name: "a binary file of an unknown kind",
    remedy: Other("convert it to CSV, JSON Lines or Parquet"),
};

const ENCRYPTED_PARQUET: Foreign = Foreign {
    name: "encrypted Parquet",
    remedy: Convert(
        "duckdb -c \"PRAGMA add_parquet_key('k', 'KEY'); COPY (FROM read_parquet('FILE', encryption_config = \
         {footer_key: 'k'})) TO 'FILE.parquet'\"",
    ),
};

/// How a kind begins: bytes at an offset, its name, and the remedy.
type Mark = (usize, &'static [u8], &'static str, Remedy);

const OFFICE: Remedy = Convert("libreoffice --headless --convert-to csv FILE");
const ARROW: &str = "an Arrow (Feather) file";
const FEATHER: Remedy = Convert(
    "python3 -c \"import pyarrow.feather as f, pyarrow.parquet as p; p.write_table(f.read_table('FILE'), \
     'FILE.parquet')\"",
);
const R: Remedy = Convert("Rscript -e 'write.csv(readRDS(\"FILE\"), \"FILE.csv\", row.names = FALSE)'");
const R_IMAGE: Remedy = Convert("Rscript -e 'write.csv(get(load(\"FILE\")), \"FILE.csv\", row.names = FALSE)'");
const PICKLE: Remedy = Convert("python3 -c \"import pandas; pandas.read_pickle('FILE').to_csv('FILE.csv')\"");
const PSQL: Remedy = Pipe("psql -c \"copy TABLE to stdout (format csv, header)\"");
const ICONV: Remedy = Pipe("iconv -f UTF-32 -t UTF-8 FILE");
const EXPORTED: Remedy = Other("get the list as CSV, JSON Lines or Parquet");
const WEB: Remedy = Other("it may be an error or a login page: open it, and download the list again");

/// Earlier entries take precedence.
const BINARY: [Mark; 43] = [
    (0, b"PARE", ENCRYPTED_PARQUET.name, ENCRYPTED_PARQUET.remedy),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Excel workbook (.xls, or encrypted)",
        OFFICE,
    ),
    (30, b"[Content_Types].xml", "an Excel workbook", OFFICE),
    (30, b"xl/", "an Excel workbook", OFFICE),
    (30, b"_rels/.rels", "an Excel workbook", OFFICE),
    (30, b"docProps/", "an Excel workbook", OFFICE),
    (
        30,
        b"mimetypeapplication/vnd.oasis.opendocument",
        "an OpenDocument spreadsheet",
        OFFICE,
    ),
    (0, b"PK\x03\x04", "a zip archive", Pipe("unzip -p FILE")),
    (
        0,
        b"PK\x05\x06",
        "an empty zip archive",
        Other("there is nothing to compare"),
    ),
    (0, b"BZh", "compressed by bzip2", Pipe("bzip2 -dc FILE")),
    (0, b"\xfd7zXZ\0", "compressed by xz", Pipe("xz -dc FILE")),
    (0, b"\x5d\0\0", "compressed by lzma", Pipe("xz -dc --format=lzma FILE")),
    (0, b"\x04\x22\x4d\x18", "compressed by lz4", Pipe("lz4 -dc FILE")),
    (0, b"\x02\x21\x4c\x18", "compressed by lz4", Pipe("lz4 -dc FILE")),
    (0, b"\xff\x06\0\0sNaPpY", "compressed by Snappy", Pipe("snzip -dc FILE")),
    (0, b"\x1f\x9d", "compressed by compress", Pipe("gzip -dc FILE")),
    (0, b"LZIP", "compressed by lzip", Pipe("lzip -dc FILE")),
    (0, b"\x89LZO\0\r\n\x1a\n", "compressed by lzop", Pipe("lzop -dc FILE")),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", Pipe("7z x -so FILE")),
    (0, b"Rar!\x1a\x07", "a RAR archive", Pipe("unrar p -inul FILE")),
    (257, b"ustar", "a tar archive", Pipe("tar -xOf FILE NAME")),
    (
        0,
        b"ORC",
        "an ORC file",
        Convert(
            "python3 -c \"import pyarrow.orc as o, pyarrow.parquet as p; p.write_table(o.read_table('FILE'), \
             'FILE.parquet')\"",
        ),
    ),
    (
        0,
        b"Obj\x01",
        "an Avro file",
        Convert("duckdb -c \"COPY (FROM read_avro('FILE')) TO 'FILE.parquet'\""),
    ),
    (0, b"ARROW1", ARROW, FEATHER),
    (0, b"FEA1", ARROW, FEATHER),
    (
        0,
        b"\xff\xff\xff\xff",
        "a stream of Arrow batches",
        Convert(
            "python3 -c \"import pyarrow as a, pyarrow.parquet as p; \
             p.write_table(a.ipc.open_stream('FILE').read_all(), 'FILE.parquet')\"",
        ),
    ),
    (
        0,
        b"SQLite format 3\0",
        "an SQLite database",
        Pipe("sqlite3 -csv -header FILE 'select * from TABLE'"),
    ),
    (
        8,
        b"DUCK",
        "a DuckDB database",
        Pipe("duckdb FILE -csv -c 'from TABLE'"),
    ),
    (
        0,
        b"PGDMP",
        "a dump of PostgreSQL, which has to be restored first",
        PSQL,
    ),
    (0, b"PGCOPY\n\xff\r\n\0", "PostgreSQL's binary COPY format", PSQL),
    (
        0,
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file",
        Convert("python3 -c \"import pandas; pandas.read_hdf('FILE').to_csv('FILE.csv')\""),
    ),
    (
        0,
        b"\x93NUMPY",
        "a NumPy array",
        Convert("python3 -c \"import numpy, pandas; pandas.DataFrame(numpy.load('FILE')).to_csv('FILE.csv')\""),
    ),
    (0, b"X\n\0\0\0", "an R data file", R),
    (0, b"RDX2\n", "an R data file", R_IMAGE),
    (0, b"RDX3\n", "an R data file", R_IMAGE),
    // A pickle can run programs when it is read, so its reader has to trust its author.
    (
        0,
        b"\x80\x04\x95",
        "a Python pickle, which only its author should read",
        PICKLE,
    ),
    (
        0,
        b"\x80\x05\x95",
        "a Python pickle, which only its author should read",
        PICKLE,
    ),
    (
        0,
        b"age-encryption.org/v1\n",
        "encrypted by age",
        Pipe("age -d -i KEY FILE"),
    ),
    (
        0,
        b"Salted__",
        "encrypted by OpenSSL",
        Pipe("openssl enc -d -in FILE ..."),
    ),
    (0, b"%PDF-", "a PDF document", EXPORTED),
    (
        0,
        b"\0\x05\x16\x07",
        "what macOS keeps beside a file",
        Other("the file itself has the same name without `._`"),
    ),
    (0, b"\xff\xfe\0\0", "text in UTF-32", ICONV),
    (0, b"\0\0\xfe\xff", "text in UTF-32", ICONV),
];

/// Starts of texts, in any case.
const TEXTS: [(&[u8], &str, Remedy); 9] = [
    (b"<!doctype html", "an HTML page", WEB),
    (b"<html", "an HTML page", WEB),
    (
        b"<table",
        "an HTML table",
        Convert("python3 -c \"import pandas; pandas.read_html('FILE')[0].to_csv('FILE.csv', index=False)\""),
    ),
    (
        b"<?xml",
        "an XML document",
        Convert("python3 -c \"import pandas; pandas.read_xml('FILE').to_csv('FILE.csv', index=False)\""),
    ),
    (
        b"version https://git-lfs.github.com/",
        "a pointer of Git LFS in place of the file",
        Other("fetch the file, as in `git lfs pull --include FILE`"),
    ),
    (
        b"-----BEGIN AGE ENCRYPTED FILE",
        "encrypted by age",
        Pipe("age -d -i KEY FILE"),
    ),
    (b"-----BEGIN PGP MESSAGE", "encrypted by PGP", Pipe("gpg -d FILE")),
    (b"%PDF-", "a PDF document", EXPORTED),
    (
        b"{\\rtf",
        "an RTF document",
        Convert("libreoffice --headless --convert-to txt FILE"),
    ),
];

impl Foreign {
    pub fn encrypted_parquet() -> Self {
        ENCRYPTED_PARQUET
    }

    /// Recognizes a file that can't have rows of ours by its start.
    pub fn of(start: &[u8]) -> Option<Self> {
        if is_binary(start) {
            let is_there = |mark: &&Mark| start.get(mark.0..).is_some_and(|rest| rest.starts_with(mark.1));
            let known = BINARY.iter().find(is_there);
            return Some(known.map_or(UNKNOWN, |&(_, _, name, remedy)| Self { name, remedy }));
        }
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let begins = |with: &[u8]| {
            text.get(..with.len())
                .is_some_and(|there| there.eq_ignore_ascii_case(with))
        };
        let known = TEXTS.iter().find(|(with, ..)| begins(with));
        known.map(|&(_, name, remedy)| Self { name, remedy })
    }

    pub fn is_unknown(&self) -> bool {
        *self == UNKNOWN
    }
}

/// Whether it is neither UTF-8 nor text in an older encoding.
fn is_binary(start: &[u8]) -> bool {
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    let is_utf8 = match std::str::from_utf8(start) {
        Ok(_) => true,
        // The start may end within a character.
        Err(error) => error.error_len().is_none(),
    };
    start.contains(&0) || (!is_utf8 && start.iter().any(is_control))
}
