package io.github.dl4jlora.evidence;

import io.github.dl4jlora.evidence.claim.BestRates;
import io.github.dl4jlora.evidence.claim.DataStarts;
import io.github.dl4jlora.evidence.claim.FewerBits;
import io.github.dl4jlora.evidence.claim.Intruders;
import io.github.dl4jlora.evidence.claim.LearnsAndForgets;
import io.github.dl4jlora.evidence.claim.MainTable;
import io.github.dl4jlora.evidence.claim.PissaFaster;
import io.github.dl4jlora.evidence.claim.RankScaling;
import io.github.dl4jlora.evidence.claim.SweptRates;
import io.github.dl4jlora.evidence.claim.TrainsAlike;
import io.github.dl4jlora.evidence.claim.TwoRates;
import io.github.dl4jlora.evidence.claim.VariantsTuned;
import io.github.dl4jlora.evidence.task.ChalkedDigits;
import io.github.dl4jlora.evidence.task.EvenDigits;
import io.github.dl4jlora.evidence.task.Shakespeare;
import io.github.dl4jlora.evidence.task.TurnedDigits;
import io.github.dl4jlora.evidence.task.TurnedFashion;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** The claims that need no pretrained model: on digits, on Shakespeare, and on Fashion-MNIST if it was fetched. */
final class PictureClaims implements EvidenceSource {

    static final String FASHION = "fashion-mnist";
    static final String SCRIPT = "examples/fetch-evidence.sh";

    @Override
    public List<Claim> claims(Path data, Consumer<String> leaves) {
        TurnedDigits digits = new TurnedDigits();
        Shakespeare shakespeare = new Shakespeare();
        List<BestRates.Setting> rates = new ArrayList<>(List.of(BestRates.digits(digits)));
        List<VariantsTuned.Setting> variants = new ArrayList<>(List.of(VariantsTuned.digits(digits)));
        Path fashionFiles = data.resolve(FASHION);
        if (Files.isDirectory(fashionFiles)) {
            TurnedFashion fashion = read(fashionFiles);
            rates.add(BestRates.fashion(fashion));
            variants.add(VariantsTuned.fashion(fashion));
        } else {
            leaves.accept("Fashion-MNIST is left out, since it is not in " + fashionFiles + ": fetch it with " + SCRIPT);
        }
        rates.add(BestRates.shakespeare(shakespeare));
        return List.of(new MainTable(digits), new BestRates(rates),
                new SweptRates(List.of(SweptRates.digits(digits), SweptRates.shakespeare(shakespeare))),
                new VariantsTuned(variants),
                new TrainsAlike(List.of(TrainsAlike.pictures(digits))), new LearnsAndForgets(digits), new RankScaling(digits),
                new TwoRates(List.of(TwoRates.digits(digits))), new PissaFaster(new EvenDigits()),
                new DataStarts(List.of(DataStarts.digits(digits))), new Intruders(List.of(Intruders.digits(digits))),
                new FewerBits(List.of(FewerBits.digits(digits), FewerBits.digits(new ChalkedDigits()),
                        FewerBits.shakespeare(shakespeare))));
    }

    private static TurnedFashion read(Path folder) {
        try {
            return new TurnedFashion(folder);
        } catch (NoSuchFileException e) {
            throw new EvidenceException(e.getFile() + " is missing: fetch it with " + SCRIPT, e);
        } catch (IOException e) {
            throw new EvidenceException(e.getMessage(), e);
        }
    }
}
