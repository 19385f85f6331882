//! Who brings a package into the storage: the six rows of one table.

use contracts::packages::{Connectivity, PackageType, Preparation};

/// How a package of this type is prepared for systems that reach the publisher like this.
pub fn preparation(package_type: PackageType, connectivity: Connectivity) -> Preparation {
    match (package_type, connectivity) {
        (PackageType::Software | PackageType::Hotfix, Connectivity::Connected) => Preparation::Automatic,
        (PackageType::Oem, Connectivity::Connected)
        | (
            PackageType::Software | PackageType::Hotfix | PackageType::Oem,
            Connectivity::Disconnected | Connectivity::Weak,
        ) => Preparation::ByHand,
    }
}

#[cfg(test)]
mod tests {
    use super::preparation;
    use contracts::packages::Connectivity::{Connected, Disconnected, Weak};
    use contracts::packages::PackageType::{Hotfix, Oem, Software};
    use contracts::packages::Preparation::{Automatic, ByHand};

    // Point 39.
    #[test]
    fn software_for_connected_systems_is_prepared_by_itself() {
        assert_eq!(preparation(Software, Connected), Automatic);
    }

    // Point 40.
    #[test]
    fn a_hotfix_for_connected_systems_is_prepared_by_itself() {
        assert_eq!(preparation(Hotfix, Connected), Automatic);
    }

    // Point 41.
    #[test]
    fn a_manufacturers_package_for_connected_systems_is_prepared_by_hand() {
        assert_eq!(preparation(Oem, Connected), ByHand);
    }

    // Point 42.
    #[test]
    fn software_for_disconnected_or_weakly_connected_systems_is_prepared_by_hand() {
        assert_eq!([Disconnected, Weak].map(|site| preparation(Software, site)), [ByHand; 2]);
    }

    // Point 43.
    #[test]
    fn a_hotfix_for_disconnected_or_weakly_connected_systems_is_prepared_by_hand() {
        assert_eq!([Disconnected, Weak].map(|site| preparation(Hotfix, site)), [ByHand; 2]);
    }

    // Point 44.
    #[test]
    fn a_manufacturers_package_for_disconnected_or_weakly_connected_systems_is_prepared_by_hand() {
        assert_eq!([Disconnected, Weak].map(|site| preparation(Oem, site)), [ByHand; 2]);
    }
}
