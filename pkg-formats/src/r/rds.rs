//! R's serialisation (`saveRDS`, `readRDS`), for the values that repositories and packages consist of.
//!
//! The writer makes format 2 in big-endian binary ("XDR"), which every R since 1.4 reads, without compression around
//! it. The reader takes formats 2 and 3 of the same kind, within bounds; it knows no closures, environments or
//! compact vectors.

use std::borrow::Cow;

/// Type codes and flags of the format.
mod code {
    pub(super) const SYMBOL: u32 = 1;
    pub(super) const PAIRLIST: u32 = 2;
    pub(super) const CHARSXP: u32 = 9;
    pub(super) const LOGICAL: u32 = 10;
    pub(super) const INTEGER: u32 = 13;
    pub(super) const REAL: u32 = 14;
    pub(super) const STRING: u32 = 16;
    pub(super) const LIST: u32 = 19;
    pub(super) const NIL: u32 = 254;
    pub(super) const REFERENCE: u32 = 255;
    pub(super) const IS_OBJECT: u32 = 0x100;
    pub(super) const HAS_ATTRIBUTES: u32 = 0x200;
    pub(super) const HAS_TAG: u32 = 0x400;
    pub(super) const UTF8: u32 = 0x8000;
    pub(super) const ASCII: u32 = 0x4_0000;
}

/// The integer and logical that stand for a missing value.
const NA: i32 = i32::MIN;
/// Values nested deeper are refused.
const DEEPEST: usize = 64;

/// An R value.
#[derive(Debug, Clone, PartialEq)]
pub struct Value<'a> {
    /// The vector itself.
    pub data: Data<'a>,
    /// Attributes in order: `names`, `dim`, `dimnames`, `class` …
    pub attributes: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// A vector. Missing elements are `None`.
#[derive(Debug, Clone, PartialEq)]
pub enum Data<'a> {
    /// `NULL`.
    Null,
    /// `logical`.
    Logical(Vec<Option<bool>>),
    /// `integer`.
    Integer(Vec<Option<i32>>),
    /// `double`; R's missing value is one of the NaNs.
    Real(Vec<f64>),
    /// `character`.
    Strings(Vec<Option<Cow<'a, str>>>),
    /// `list`.
    List(Vec<Value<'a>>),
}

impl<'a> From<Data<'a>> for Value<'a> {
    fn from(data: Data<'a>) -> Self {
        Self { data, attributes: Vec::new() }
    }
}

impl<'a> Value<'a> {
    /// `NULL`.
    pub const NULL: Self = Self { data: Data::Null, attributes: Vec::new() };

    /// A character vector without missing elements.
    pub fn strings<S: Into<Cow<'a, str>>>(elements: impl IntoIterator<Item = S>) -> Self {
        Data::Strings(elements.into_iter().map(|element| Some(element.into())).collect()).into()
    }

    /// A single string.
    pub fn string(element: impl Into<Cow<'a, str>>) -> Self {
        Data::Strings(vec![Some(element.into())]).into()
    }

    /// An integer vector without missing elements.
    pub fn integers(elements: impl IntoIterator<Item = i32>) -> Self {
        Data::Integer(elements.into_iter().map(Some).collect()).into()
    }

    /// A list with names; without any when there is no element, as R's own lists.
    pub fn named_list<S: Into<Cow<'a, str>>>(elements: impl IntoIterator<Item = (S, Self)>) -> Self {
        let (names, values): (Vec<Cow<'a, str>>, Vec<Self>) =
            elements.into_iter().map(|(name, value)| (name.into(), value)).unzip();
        let list = Self::from(Data::List(values));
        if names.is_empty() { list } else { list.with_names(names) }
    }

    /// A character matrix; `cells` column by column, `rows` of them in each column.
    pub fn matrix(cells: Vec<Option<Cow<'a, str>>>, rows: usize, columns: &[&'a str]) -> Self {
        debug_assert_eq!(cells.len(), rows * columns.len());
        let extent = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let names = Value::from(Data::List(vec![Self::NULL, Self::strings(columns.iter().copied())]));
        Self::from(Data::Strings(cells))
            .with("dim", Self::integers([extent(rows), extent(columns.len())]))
            .with("dimnames", names)
    }

    /// With one more attribute.
    pub fn with(mut self, name: impl Into<Cow<'a, str>>, value: Self) -> Self {
        self.attributes.push((name.into(), value));
        self
    }

    /// With the attribute `names`.
    pub fn with_names<S: Into<Cow<'a, str>>>(self, names: impl IntoIterator<Item = S>) -> Self {
        self.with("names", Self::strings(names))
    }

    /// With the attribute `class`, which makes it an object.
    pub fn with_class<S: Into<Cow<'a, str>>>(self, classes: impl IntoIterator<Item = S>) -> Self {
        self.with("class", Self::strings(classes))
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&Self> {
        self.attributes.iter().find(|(attribute, _)| attribute == name).map(|(_, value)| value)
    }

    /// The elements of a character vector.
    pub fn as_strings(&self) -> Option<&[Option<Cow<'a, str>>]> {
        match &self.data {
            Data::Strings(elements) => Some(elements),
            _ => None,
        }
    }

    /// An element of a list, by name.
    pub fn element(&self, name: &str) -> Option<&Self> {
        let Data::List(elements) = &self.data else { return None };
        let names = self.attribute("names")?.as_strings()?;
        elements.get(names.iter().position(|element| element.as_deref() == Some(name))?)
    }

    /// Serialises, without compression around it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"X\n".to_vec();
        // Format 2, written by R 4.2.2, for R 2.3.0 and later.
        for number in [2, 0x0004_0202, 0x0002_0300] {
            put(&mut out, number);
        }
        write_value(&mut out, self);
        out
    }
}

fn put(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_be_bytes());
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put(out, u32::try_from(length).expect("R itself has no vector of this format with 2^31 elements"));
}

fn write_value(out: &mut Vec<u8>, value: &Value<'_>) {
    let mut flags = 0;
    if !value.attributes.is_empty() {
        flags |= code::HAS_ATTRIBUTES;
    }
    if value.attribute("class").is_some() {
        flags |= code::IS_OBJECT;
    }
    match &value.data {
        Data::Null => return put(out, code::NIL),
        Data::Logical(elements) => {
            put(out, code::LOGICAL | flags);
            put_length(out, elements.len());
            elements.iter().for_each(|element| put(out, element.map_or(NA, i32::from) as u32));
        }
        Data::Integer(elements) => {
            put(out, code::INTEGER | flags);
            put_length(out, elements.len());
            elements.iter().for_each(|element| put(out, element.unwrap_or(NA) as u32));
        }
        Data::Real(elements) => {
            put(out, code::REAL | flags);
            put_length(out, elements.len());
            elements.iter().for_each(|element| out.extend_from_slice(&element.to_bits().to_be_bytes()));
        }
        Data::Strings(elements) => {
            put(out, code::STRING | flags);
            put_length(out, elements.len());
            elements.iter().for_each(|element| write_chars(out, element.as_deref()));
        }
        Data::List(elements) => {
            put(out, code::LIST | flags);
            put_length(out, elements.len());
            elements.iter().for_each(|element| write_value(out, element));
        }
    }
    for (name, attribute) in &value.attributes {
        put(out, code::PAIRLIST | code::HAS_TAG);
        // R refers back to a symbol that it has written before; a second plain one is read as well.
        put(out, code::SYMBOL);
        write_chars(out, Some(name));
        write_value(out, attribute);
    }
    if !value.attributes.is_empty() {
        put(out, code::NIL);
    }
}

fn write_chars(out: &mut Vec<u8>, chars: Option<&str>) {
    let Some(chars) = chars else {
        put(out, code::CHARSXP);
        return put(out, u32::MAX);
    };
    put(out, code::CHARSXP | if chars.is_ascii() { code::ASCII } else { code::UTF8 });
    put_length(out, chars.len());
    out.extend_from_slice(chars.as_bytes());
}

/// Why a serialised value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The header is not that of a supported format.
    #[error("not R data in binary format 2 or 3")]
    NotRds,
    /// The data ends in the middle.
    #[error("the R data is cut short")]
    Truncated,
    /// A kind of value that this reader does not know.
    #[error("R data of type {0} is not supported")]
    Unsupported(u32),
    /// Anything else that cannot be.
    #[error("the R data is damaged: {0}")]
    Corrupt(&'static str),
}

/// Reads a serialised value, which must not be compressed.
///
/// # Errors
/// See [`Error`]. The memory used stays within a small multiple of the input.
pub fn read(bytes: &[u8]) -> Result<Value<'static>, Error> {
    let mut reader = Reader { rest: bytes.strip_prefix(b"X\n").ok_or(Error::NotRds)?, symbols: Vec::new() };
    let format = reader.number()?;
    reader.take(8)?;
    match format {
        2 => {}
        3 => {
            let encoding = reader.number()?;
            reader.take(encoding as usize)?;
        }
        _ => return Err(Error::NotRds),
    }
    reader.value(0)
}

struct Reader<'b> {
    rest: &'b [u8],
    symbols: Vec<String>,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes(bytes.try_into().map_err(|_| Error::Truncated)?))
    }

    /// A vector's length, refused when the rest cannot hold that many elements of the given size.
    fn length(&mut self, size: usize) -> Result<usize, Error> {
        let length = self.number()? as usize;
        match length.checked_mul(size) {
            Some(bytes) if bytes <= self.rest.len() => Ok(length),
            _ => Err(Error::Truncated),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'static>, Error> {
        let flags = self.number()?;
        if depth > DEEPEST {
            return Err(Error::Corrupt("nested too deep"));
        }
        let data = match flags & 0xff {
            code::NIL => return Ok(Value::NULL),
            code::LOGICAL => {
                let elements = self.integers()?;
                Data::Logical(elements.into_iter().map(|element| element.map(|element| element != 0)).collect())
            }
            code::INTEGER => Data::Integer(self.integers()?),
            code::REAL => {
                let length = self.length(8)?;
                let bytes = self.take(length * 8)?;
                Data::Real(bytes.as_chunks::<8>().0.iter().map(|bits| f64::from_be_bytes(*bits)).collect())
            }
            code::STRING => {
                let length = self.length(8)?;
                let mut elements = Vec::with_capacity(length);
                for _ in 0..length {
                    elements.push(self.chars()?.map(Cow::Owned));
                }
                Data::Strings(elements)
            }
            code::LIST => {
                let length = self.length(4)?;
                let mut elements = Vec::new();
                for _ in 0..length {
                    elements.push(self.value(depth + 1)?);
                }
                Data::List(elements)
            }
            other => return Err(Error::Unsupported(other)),
        };
        let mut value = Value::from(data);
        if flags & code::HAS_ATTRIBUTES != 0 {
            value.attributes = self.attributes(depth)?;
        }
        Ok(value)
    }

    fn integers(&mut self) -> Result<Vec<Option<i32>>, Error> {
        let length = self.length(4)?;
        let bytes = self.take(length * 4)?;
        let element = |bytes: &[u8; 4]| Some(i32::from_be_bytes(*bytes)).filter(|number| *number != NA);
        Ok(bytes.as_chunks::<4>().0.iter().map(element).collect())
    }

    fn attributes(&mut self, depth: usize) -> Result<Vec<(Cow<'static, str>, Value<'static>)>, Error> {
        let mut attributes = Vec::new();
        loop {
            let flags = self.number()?;
            match flags & 0xff {
                code::NIL => return Ok(attributes),
                code::PAIRLIST if flags & code::HAS_TAG != 0 && flags & code::HAS_ATTRIBUTES == 0 => {
                    let name = self.symbol()?;
                    attributes.push((Cow::Owned(name), self.value(depth + 1)?));
                }
                _ => return Err(Error::Corrupt("attributes are not a list of named values")),
            }
        }
    }

    fn symbol(&mut self) -> Result<String, Error> {
        let flags = self.number()?;
        match flags & 0xff {
            code::SYMBOL => {
                let name = self.chars()?.ok_or(Error::Corrupt("a symbol without a name"))?;
                self.symbols.push(name.clone());
                Ok(name)
            }
            code::REFERENCE => {
                let index = match flags >> 8 {
                    0 => self.number()?,
                    packed => packed,
                };
                let symbol = (index as usize).checked_sub(1).and_then(|at| self.symbols.get(at));
                symbol.cloned().ok_or(Error::Corrupt("a reference to nothing"))
            }
            _ => Err(Error::Corrupt("an attribute without a name")),
        }
    }

    fn chars(&mut self) -> Result<Option<String>, Error> {
        let flags = self.number()?;
        if flags & 0xff != code::CHARSXP {
            return Err(Error::Corrupt("expected a string"));
        }
        let length = self.number()?;
        if length == u32::MAX {
            return Ok(None);
        }
        let bytes = self.take(length as usize)?;
        // R's other encoding is Latin-1, where a byte is a character.
        Ok(Some(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().copied().map(char::from).collect(),
        }))
    }
}
