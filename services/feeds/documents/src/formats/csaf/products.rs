//! The product tree of a CSAF document: products by id, and what is a component of what.

use super::package::{self, Package};
use crate::DocumentError;
use crate::identity::{cpe, named};
use crate::json;
use contracts::OsRelease;
use serde::Deserialize;
use std::collections::HashMap;
use std::rc::Rc;

/// Bytes that are kept of a document while it is read: an advisory for a kernel has some 10,000 products of 400 bytes,
/// and some 500 vulnerabilities that each name half of them by number.
const KEPT_BYTES_MAX: usize = 128 << 20;
/// What a kept text costs beside its characters, and what is made of it in the end.
const OVERHEAD_BYTES: usize = 128;
/// Package URLs of one product.
const PURLS_MAX: usize = 1_000;
/// A package is a component of a module, which is a component of a repository.
const COMPONENTS_MAX: usize = 4;

/// A product's number in the order in which its id was first seen.
pub(super) type Number = u32;

/// All products that a document names.
#[derive(Default)]
pub(super) struct Products {
    numbers: HashMap<Rc<str>, Number>,
    known: Vec<Product>,
    kept_bytes: usize,
}

#[derive(Default)]
struct Product {
    id: Rc<str>,
    /// Whether the product tree describes it: other parts may name what is not there.
    described: bool,
    name: Box<str>,
    cpe: Box<str>,
    purl: Box<str>,
    /// What it is a version of: the name of the branch `product_name` above it.
    version_of: Option<Rc<str>>,
    /// The component, and what it is a component of.
    parts: Option<(Number, Number)>,
    /// Figures that list it already.
    listed: u8,
}

/// A product as the tree describes it.
#[derive(Deserialize)]
pub(super) struct FullProduct {
    pub(super) product_id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "product_identification_helper")]
    helper: Option<Helper>,
}

#[derive(Deserialize, Default)]
struct Helper {
    cpe: Option<String>,
    purl: Option<String>,
    /// CSAF 2.1 has several.
    #[serde(default, deserialize_with = "json::list::<_, _, PURLS_MAX>")]
    purls: Vec<String>,
}

/// A product that is made of two.
#[derive(Deserialize)]
pub(super) struct Relationship {
    pub(super) full_product_name: FullProduct,
    product_reference: String,
    relates_to_product_reference: String,
}

/// Where a package is fixed.
pub(super) enum Place {
    /// There, as this package.
    Package(OsRelease, Package),
    /// It is no package: a container image, an archive.
    NoPackage,
    /// No release that is known here; the product's name or id.
    NoRelease(String),
    /// The product tree does not know it.
    Unknown,
}

impl Products {
    /// The number of an id.
    pub(super) fn number(&mut self, id: &str) -> Result<Number, DocumentError> {
        if let Some(number) = self.numbers.get(id) {
            return Ok(*number);
        }
        self.keep(OVERHEAD_BYTES + id.len())?;
        // Bounded by what may be kept, long before.
        let number = Number::try_from(self.known.len()).unwrap_or(Number::MAX);
        let id: Rc<str> = id.into();
        self.numbers.insert(id.clone(), number);
        self.known.push(Product { id, ..Product::default() });
        Ok(number)
    }

    /// Whether a figure does not list the product yet. Each figure has a bit.
    pub(super) fn is_news(&mut self, id: &str, figure: u8) -> Result<bool, DocumentError> {
        let number = self.number(id)?;
        let Some(known) = self.known.get_mut(number as usize) else { return Ok(false) };
        let news = known.listed & figure == 0;
        known.listed |= figure;
        if news {
            self.keep(OVERHEAD_BYTES + id.len())?;
        }
        Ok(news)
    }

    /// Accounts for bytes that are kept.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), DocumentError> {
        self.kept_bytes = self.kept_bytes.saturating_add(bytes);
        if self.kept_bytes > KEPT_BYTES_MAX {
            return Err(DocumentError::RecordTooLarge { limit: KEPT_BYTES_MAX as u64 });
        }
        Ok(())
    }

    /// Takes in a product of the tree.
    pub(super) fn describe(&mut self, product: FullProduct) -> Result<Number, DocumentError> {
        let number = self.number(&product.product_id)?;
        let helper = product.helper.unwrap_or_default();
        let name = product.name.unwrap_or_default();
        let cpe = helper.cpe.unwrap_or_default();
        let purl = helper.purl.or_else(|| helper.purls.into_iter().next()).unwrap_or_default();
        self.keep(OVERHEAD_BYTES + name.len() + cpe.len() + purl.len())?;
        if let Some(known) = self.known.get_mut(number as usize) {
            known.described = true;
            known.name = name.into();
            known.cpe = cpe.into();
            known.purl = purl.into();
        }
        Ok(number)
    }

    /// Takes in a product that is made of two.
    pub(super) fn relate(&mut self, relationship: Relationship) -> Result<(), DocumentError> {
        let component = self.number(&relationship.product_reference)?;
        let whole = self.number(&relationship.relates_to_product_reference)?;
        let number = self.describe(relationship.full_product_name)?;
        if let Some(known) = self.known.get_mut(number as usize) {
            known.parts = Some((component, whole));
        }
        Ok(())
    }

    /// Notes what these products are versions of, where nothing nearer to them said so.
    pub(super) fn name_versions(&mut self, numbers: &[Number], name: &str) -> Result<(), DocumentError> {
        self.keep(OVERHEAD_BYTES + name.len())?;
        let name: Rc<str> = name.into();
        for number in numbers {
            if let Some(known) = self.known.get_mut(*number as usize) {
                known.version_of.get_or_insert_with(|| name.clone());
            }
        }
        Ok(())
    }

    /// The id of a product.
    pub(super) fn id(&self, number: Number) -> &str {
        self.known.get(number as usize).map(|product| &*product.id).unwrap_or_default()
    }

    /// The product without its version: `Windows Server 2022` of its build 10.0.20348.2966. Of a component, that on
    /// which it is installed, and that it is one.
    pub(super) fn platform(&self, number: Number) -> Option<(&str, bool)> {
        let mut product = self.described(number)?;
        let mut is_component = false;
        for _ in 0..COMPONENTS_MAX {
            let Some((_, whole)) = product.parts else { break };
            product = self.described(whole)?;
            is_component = true;
        }
        let name = product.version_of.as_deref().unwrap_or(&product.name);
        Some((name, is_component))
    }

    /// The release and package that a product is.
    pub(super) fn place(&self, number: Number) -> Place {
        let Some(product) = self.described(number) else { return Place::Unknown };
        let Some((component, mut whole)) = product.parts else {
            return Place::NoRelease(product.shown());
        };
        let mut module = None;
        for _ in 0..COMPONENTS_MAX {
            let Some(platform) = self.described(whole) else { return Place::Unknown };
            let Some((part, next)) = platform.parts else {
                let found = cpe::release(&platform.cpe).or_else(|| named(&platform.name));
                let Some(os) = found else { return Place::NoRelease(platform.shown()) };
                let Some(mut package) = self.package(component) else { return Place::NoPackage };
                package.module = package.module.or(module);
                return Place::Package(os, package);
            };
            module = module.or_else(|| self.module(part));
            whole = next;
        }
        Place::NoRelease(product.shown())
    }

    fn package(&self, number: Number) -> Option<Package> {
        let product = self.known.get(number as usize)?;
        // A purl that is none of a package says that the product is none.
        if !product.purl.is_empty() {
            return package::from_purl(&product.purl);
        }
        package::from_name(&product.name).or_else(|| package::from_name(&product.id))
    }

    fn module(&self, number: Number) -> Option<String> {
        let product = self.known.get(number as usize)?;
        // `virt:rhel:8100020240704072441:489197e6`
        let has_parts = product.id.split(':').count() > 2;
        package::module_from_purl(&product.purl)
            .or_else(|| if has_parts { package::stream(&product.id) } else { None })
    }

    fn described(&self, number: Number) -> Option<&Product> {
        self.known.get(number as usize).filter(|product| product.described)
    }
}

impl Product {
    fn shown(&self) -> String {
        if self.name.is_empty() { self.id.to_string() } else { self.name.to_string() }
    }
}

/// A branch that is open while the tree is read.
#[derive(Default)]
pub(super) struct Branch {
    pub(super) category: String,
    pub(super) name: String,
    /// Products in it, also those of the branches within.
    pub(super) products: Vec<Number>,
}
