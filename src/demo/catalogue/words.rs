//! The words that generated products are made of.

/// What a shop sells under one heading.
pub(super) struct Department {
    pub(super) category: &'static str,
    /// Three letters, for SKUs.
    pub(super) code: &'static str,
    pub(super) brands: &'static [&'static str],
    pub(super) styles: &'static [&'static str],
    pub(super) nouns: &'static [&'static str],
    pub(super) materials: &'static [&'static str],
    pub(super) uses: &'static [&'static str],
    /// Prices from and to, in whole euros.
    pub(super) euros: (u32, u32),
    /// Weights from and to, in grams.
    pub(super) grams: (u32, u32),
}

pub(super) const COLOURS: &[&str] = &[
    "black",
    "white",
    "slate grey",
    "navy",
    "forest green",
    "sand",
    "terracotta",
    "burgundy",
];

pub(super) const ORIGINS: &[&str] = &["DE", "DK", "ES", "FR", "IT", "JP", "PL", "PT", "SE", "VN"];

pub(super) const PROMISES: &[&str] = &[
    "Spare parts are available for at least ten years, so it can be repaired instead of replaced.",
    "It comes in a box of recycled card and leaves no plastic behind.",
    "Our own team has used it daily for a year and found nothing to complain about.",
    "If it does not suit you, send it back within thirty days at no cost.",
    "Every batch is checked by hand before it leaves the workshop.",
    "It is one of our bestsellers, and customers keep coming back for a second one.",
];

// A table: one department a paragraph, one kind of word a line.
#[rustfmt::skip]
pub(super) const DEPARTMENTS: &[Department] = &[
    Department {
        category: "kitchen", code: "KIT",
        brands: &["Holmgren", "Casa Ferro", "Bergtal", "Miro & Sons", "Aurelle"],
        styles: &["Brushed Steel", "Enamelled", "Cast Iron", "Copper-Base", "Everyday", "Professional"],
        nouns: &["Kettle", "Saucepan", "Frying Pan", "Stockpot", "Chef's Knife", "Mixing Bowl", "Pepper Mill", "Colander"],
        materials: &["stainless steel", "enamelled steel", "cast iron", "aluminium"],
        uses: &["gas, electric and induction hobs", "busy weeknights", "large families", "slow Sunday cooking"],
        euros: (12, 180), grams: (200, 4500),
    },
    Department {
        category: "coffee-and-tea", code: "COF",
        brands: &["Northbeam", "Caffè Lungo", "Leaf & Loam", "Hanami", "Old Harbour"],
        styles: &["Single-Origin", "Dark Roast", "First Flush", "Organic", "Smoked", "Decaffeinated"],
        nouns: &["Espresso Beans", "Filter Coffee", "Assam", "Sencha", "Oolong", "Earl Grey", "Darjeeling", "Cold Brew Blend"],
        materials: &["whole beans", "whole leaf", "coarsely ground beans", "hand-rolled leaf"],
        uses: &["espresso machines", "long mornings", "the office", "afternoons with friends"],
        euros: (5, 38), grams: (100, 1000),
    },
    Department {
        category: "audio", code: "AUD",
        brands: &["Sonoro Lab", "Klangwerk", "Brightside", "Ohm & Oak", "Tessel"],
        styles: &["Wireless", "Noise-Cancelling", "Compact", "Studio", "Vintage", "Waterproof"],
        nouns: &["Headphones", "Bookshelf Speaker", "Earbuds", "Turntable", "Soundbar", "Microphone", "Radio", "Amplifier"],
        materials: &["anodised aluminium", "walnut veneer", "recycled plastic", "powder-coated steel"],
        uses: &["long flights", "small rooms", "podcasts and calls", "listening to whole albums"],
        euros: (29, 890), grams: (40, 9000),
    },
    Department {
        category: "cycling", code: "CYC",
        brands: &["Velomark", "Col & Cadence", "Ridgeline", "Tandem Works", "Pavé"],
        styles: &["Lightweight", "All-Weather", "Reflective", "Tubeless", "Gravel", "Commuter"],
        nouns: &["Helmet", "Pannier", "Saddle", "Floor Pump", "Rear Light", "Gloves", "Rain Jacket", "Lock"],
        materials: &["ripstop nylon", "expanded polystyrene", "hardened steel", "carbon fibre"],
        uses: &["daily commutes", "long tours", "wet winters", "gravel and forest roads"],
        euros: (14, 240), grams: (60, 2600),
    },
    Department {
        category: "garden", code: "GAR",
        brands: &["Greenhalgh", "Terra Bella", "Fjell & Felt", "Hortus", "Spade & Co"],
        styles: &["Galvanised", "Cedar", "Self-Watering", "Long-Handled", "Frost-Proof", "Folding"],
        nouns: &["Watering Can", "Planter", "Secateurs", "Garden Fork", "Bird Feeder", "Hose Reel", "Cold Frame", "Wheelbarrow"],
        materials: &["galvanised steel", "untreated cedar", "forged steel", "terracotta"],
        uses: &["balconies and small yards", "kitchen gardens", "heavy soil", "the first warm weekend of the year"],
        euros: (9, 220), grams: (150, 14000),
    },
    Department {
        category: "stationery", code: "STA",
        brands: &["Papier Nord", "Inkwell", "Lindqvist", "Foglio", "Quire"],
        styles: &["Dotted", "Linen-Bound", "Pocket", "Archival", "Left-Handed", "Refillable"],
        nouns: &["Notebook", "Fountain Pen", "Desk Planner", "Pencil Set", "Sketchbook", "Letter Set", "Ink Bottle", "Card File"],
        materials: &["acid-free paper", "brass", "recycled card", "cedar wood"],
        uses: &["morning pages", "meetings that matter", "travel journals", "letters worth keeping"],
        euros: (3, 95), grams: (20, 900),
    },
    Department {
        category: "lighting", code: "LIG",
        brands: &["Halden", "Lumen & Lode", "Studio Volta", "Nachtlicht", "Paragon"],
        styles: &["Dimmable", "Articulated", "Opal Glass", "Rechargeable", "Linen", "Minimal"],
        nouns: &["Desk Lamp", "Floor Lamp", "Pendant", "Wall Light", "Reading Light", "Lantern", "Table Lamp", "Ceiling Light"],
        materials: &["opal glass", "spun brass", "powder-coated steel", "washed linen"],
        uses: &["reading corners", "kitchen islands", "late work", "evenings on the terrace"],
        euros: (24, 460), grams: (300, 7000),
    },
    Department {
        category: "outdoor", code: "OUT",
        brands: &["Tarnfell", "Skarv", "Basecamp Union", "Wayfarer", "Granit"],
        styles: &["Ultralight", "Insulated", "Four-Season", "Waterproof", "Trail", "Packable"],
        nouns: &["Tent", "Sleeping Bag", "Backpack", "Trekking Poles", "Camp Stove", "Water Bottle", "Down Jacket", "Head Torch"],
        materials: &["recycled polyester", "ripstop nylon", "7075 aluminium", "merino wool"],
        uses: &["weekend hikes", "nights above the tree line", "canoe trips", "summits in any weather"],
        euros: (15, 620), grams: (80, 4200),
    },
    Department {
        category: "toys", code: "TOY",
        brands: &["Holzwurm", "Little Fathom", "Pip & Otter", "Kasper", "Arcadia Games"],
        styles: &["Wooden", "Magnetic", "Giant", "Glow-in-the-Dark", "Cooperative", "Classic"],
        nouns: &["Train Set", "Puzzle", "Building Blocks", "Kite", "Marble Run", "Board Game", "Puppet Theatre", "Memory Game"],
        materials: &["beech wood", "thick card", "organic cotton", "natural rubber"],
        uses: &["rainy afternoons", "children from three", "whole families", "birthdays"],
        euros: (8, 130), grams: (150, 3500),
    },
    Department {
        category: "bath", code: "BAT",
        brands: &["Saltmarsh", "Lavendou", "Hamam House", "Cleary & Foam", "Nordlys"],
        styles: &["Unscented", "Waffle-Weave", "Quick-Dry", "Botanical", "Bamboo", "Gentle"],
        nouns: &["Bath Towel", "Hand Soap", "Bath Mat", "Shampoo Bar", "Body Oil", "Bathrobe", "Shaving Brush", "Sponge"],
        materials: &["organic cotton", "olive oil", "bamboo fibre", "cork"],
        uses: &["sensitive skin", "guest bathrooms", "slow evenings", "the gym bag"],
        euros: (4, 120), grams: (60, 1500),
    },
    Department {
        category: "office", code: "OFF",
        brands: &["Werkbank", "Uprise", "Task & Timber", "Formosa", "Plainview"],
        styles: &["Ergonomic", "Height-Adjustable", "Oak", "Cable-Free", "Stackable", "Quiet"],
        nouns: &["Desk", "Task Chair", "Monitor Arm", "Keyboard", "Filing Cabinet", "Footrest", "Laptop Stand", "Shelf"],
        materials: &["solid oak", "recycled aluminium", "woven mesh", "birch plywood"],
        uses: &["small home offices", "shared desks", "eight hours of sitting", "tidy minds"],
        euros: (25, 980), grams: (400, 32000),
    },
    Department {
        category: "footwear", code: "SHO",
        brands: &["Marlowe", "Passo", "Stigen", "Cobble & Last", "Yamabiko"],
        styles: &["Suede", "Waterproof", "Canvas", "Hand-Stitched", "Vegan", "Lined"],
        nouns: &["Trainers", "Chelsea Boots", "Sandals", "Hiking Boots", "Loafers", "Slippers", "Running Shoes", "Wellingtons"],
        materials: &["vegetable-tanned leather", "organic canvas", "natural rubber", "boiled wool"],
        uses: &["city pavements", "muddy paths", "warm evenings", "long days on your feet"],
        euros: (29, 260), grams: (250, 1800),
    },
    Department {
        category: "bedding", code: "BED",
        brands: &["Dovecote", "Lakeside Linen", "Slumberland & Daughters", "Edelweiss", "Ninna"],
        styles: &["Stonewashed", "Percale", "Goose Down", "Weighted", "Cooling", "Flannel"],
        nouns: &["Duvet", "Pillow", "Sheet Set", "Duvet Cover", "Blanket", "Mattress Topper", "Pillowcase", "Throw"],
        materials: &["European flax", "long-staple cotton", "responsible down", "lambswool"],
        uses: &["hot summers", "cold bedrooms", "light sleepers", "guest rooms"],
        euros: (19, 420), grams: (250, 6000),
    },
    Department {
        category: "tools", code: "TOO",
        brands: &["Ironbridge", "Hebel", "Sawyer & Finch", "Torque", "Boreal"],
        styles: &["Cordless", "Forged", "Magnetic", "Insulated", "Ratcheting", "Precision"],
        nouns: &["Drill", "Hammer", "Screwdriver Set", "Hand Saw", "Spirit Level", "Socket Set", "Pliers", "Workbench"],
        materials: &["chrome vanadium steel", "forged steel", "glass-filled nylon", "ash wood"],
        uses: &["flat-pack furniture", "electricians", "serious joinery", "the drawer in the hall"],
        euros: (7, 390), grams: (90, 18000),
    },
];
