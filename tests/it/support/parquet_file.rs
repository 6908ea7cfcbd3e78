//! Writes small Parquet files with columns of any type.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// A nullable column: its type, name and annotation as in a schema, and its values.
pub enum Column {
    Bytes(&'static str, Vec<Option<Vec<u8>>>),
    Fixed(&'static str, Vec<Option<Vec<u8>>>),
    Bool(&'static str, Vec<Option<bool>>),
    Int32(&'static str, Vec<Option<i32>>),
    Int64(&'static str, Vec<Option<i64>>),
    Double(&'static str, Vec<Option<f64>>),
}

impl Column {
    pub fn texts(schema: &'static str, texts: impl Into<Vec<Option<Vec<u8>>>>) -> Self {
        Self::Bytes(schema, texts.into())
    }

    pub fn bytes(self) -> Vec<Option<Vec<u8>>> {
        match self {
            Self::Bytes(_, values) | Self::Fixed(_, values) => values,
            _ => Vec::new(),
        }
    }

    fn schema(&self) -> &'static str {
        match self {
            Self::Bytes(schema, _)
            | Self::Fixed(schema, _)
            | Self::Bool(schema, _)
            | Self::Int32(schema, _)
            | Self::Int64(schema, _)
            | Self::Double(schema, _) => schema,
        }
    }

    fn write(&self, group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) {
        match self {
            Self::Bytes(_, values) => write::<ByteArrayType, _>(group, values),
            Self::Fixed(_, values) => {
                let fixed = |value: Vec<u8>| FixedLenByteArray::from(ByteArray::from(value));
                let values: Vec<_> = values.iter().map(|value| value.clone().map(fixed)).collect();
                write::<FixedLenByteArrayType, _>(group, &values);
            }
            Self::Bool(_, values) => write::<BoolType, _>(group, values),
            Self::Int32(_, values) => write::<Int32Type, _>(group, values),
            Self::Int64(_, values) => write::<Int64Type, _>(group, values),
            Self::Double(_, values) => write::<DoubleType, _>(group, values),
        }
    }
}

fn write<T: DataType, V: Clone + Into<T::T>>(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, values: &[Option<V>]) {
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.iter().flatten().cloned().map(Into::into).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(&values, Some(&levels), None).unwrap();
    column.close().unwrap();
}

/// A file of one row group. `second` chooses data pages of version 2.
pub fn parquet_file(codec: Compression, second: bool, columns: &[Column]) -> Vec<u8> {
    let fields: String = columns
        .iter()
        .map(|column| format!("optional {};", column.schema()))
        .collect();
    let schema = parse_message_type(&format!("message rows {{ {fields} }}")).unwrap();
    let version = if second {
        WriterVersion::PARQUET_2_0
    } else {
        WriterVersion::PARQUET_1_0
    };
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_writer_version(version)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    columns.iter().for_each(|column| column.write(&mut group));
    group.close().unwrap();
    writer.into_inner().unwrap()
}
