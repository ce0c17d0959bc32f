//! Choices that follow from the input, so that a target does the same thing each time it sees it.

/// A stream of numbers that starts from the bytes of an input.
#[derive(Clone, Debug)]
pub struct Choices(u64);

impl Choices {
    /// The choices that belong to this input.
    #[must_use]
    pub fn from_input(input: &[u8]) -> Self {
        // FNV-1a: any mixing will do, as long as near inputs choose differently.
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(input.iter().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let wide = u128::from(mixed ^ (mixed >> 31)) * bound as u128;
        usize::try_from(wide >> 64).expect("it is below a usize")
    }

    /// One of these. There has to be one.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Brings these into any order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }

    /// Cuts a text into up to five pieces, some of them empty.
    pub fn cut<'t>(&mut self, text: &'t [u8]) -> Vec<&'t [u8]> {
        let mut cuts: Vec<usize> = (0..self.below(5))
            .map(|_| self.below(text.len() + 1))
            .collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect()
    }
}
