package io.github.dl4jlora.cli;

import io.github.dl4jlora.adapter.Combination;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.tune.RankUse;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.TypeConversionException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

@Command(name = "combine", header = "Combines several adapters into one.",
        description = {"All must be adapters of the same base. An adapter leaves layers that it lacks unchanged. A negative "
                + "weight removes a task.",
                "Methods, as in PEFT's add_weighted_adapter: CAT adds exactly, and ranks add up. SVD, and the methods that end "
                        + "in SVD, give the closest adapter of the rank. The others keep the rank, which must be the same for "
                        + "all."},
        footer = {"  dl4j-lora combine spam=0.7 tone=0.3 -o both",
                "  dl4j-lora combine both tone=-0.3 --method svd --rank 8 -o without",
                "  dl4j-lora combine spam tone --method ties --density 0.5 -o merged",
                "  dl4j-lora combine both --compress 4 -o small"})
final class CombineCommand extends Work {

    @Parameters(arity = "1..*", paramLabel = "ADAPTER[=WEIGHT]", converter = Weighted.Converter.class,
            description = "Adapters' folders, each with its weight. Default: 1.")
    private List<Weighted> adapters;

    @Option(names = "--method", paramLabel = "WORD", defaultValue = "CAT",
            description = "${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
    private Combination.Method method;

    @Option(names = "--rank", paramLabel = "N", description = "SVD, ..._SVD: the rank of the result. Default: the largest rank "
            + "of the adapters.")
    private Integer rank;

    @Option(names = "--density", paramLabel = "X", description = "TIES, DARE, MAGNITUDE_PRUNE: the fraction of values to "
            + "keep.")
    private Double density;

    @Option(names = "--majority-sign", paramLabel = "WORD",
            description = "TIES: how a sign is elected: ${COMPLETION-CANDIDATES}. Default: TOTAL.")
    private Combination.MajoritySign majoritySign;

    @Option(names = "--seed", paramLabel = "N", description = "DARE: seed of the random choice. Default: 0.")
    private Long seed;

    @Option(names = "--compress", paramLabel = "N", description = "Finally truncates the result to a rank, and shows what is "
            + "lost.")
    private Integer compress;

    @Mixin
    private Output output;

    /** A folder and a weight. */
    record Weighted(Path folder, double weight) {

        static final class Converter implements ITypeConverter<Weighted> {

            @Override
            public Weighted convert(String text) {
                int equals = text.lastIndexOf('=');
                if (equals < 1 || Files.exists(Path.of(text))) {
                    return new Weighted(Path.of(text), 1);
                }
                try {
                    return new Weighted(Path.of(text.substring(0, equals)), Double.parseDouble(text.substring(equals + 1)));
                } catch (NumberFormatException e) {
                    throw new TypeConversionException("\"" + text.substring(equals + 1) + "\" is not a weight");
                }
            }
        }

        @Override
        public String toString() {
            return folder + "=" + weight;
        }
    }

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        Combination combination = settings();
        output.checkedFolder();
        progress.expect(adapters.size() + 2);
        for (Weighted adapter : adapters) {
            progress.step("reading " + adapter.folder);
            combination.add(AdapterFolder.read(adapter.folder), adapter.weight);
        }
        progress.step("combining");
        LoRAAdapter combined;
        try {
            combined = combination.build();
        } catch (IllegalArgumentException e) {
            throw new IOException("Adapters " + numbered() + " cannot be combined: " + e.getMessage(), e);
        }
        Map<String, RankUse> uses = compress == null ? Map.of() : RankUse.of(combined);
        LoRAAdapter.Compressed result = compress == null ? new LoRAAdapter.Compressed(combined, Map.of())
                : combined.compress(compress);
        tell(result, uses, facts);
        progress.step("writing " + output.path());
        output.writeAdapter(result.adapter());
        output.tell("an adapter made from " + adapters.stream().map(Weighted::toString)
                .collect(Collectors.joining(", ")) + " by " + method
                + ".", facts);
        facts.put("method", method.name()).put("layers", result.adapter().layers())
                .put("lost", result.relativeErrors());
    }

    private Combination settings() {
        Combination combination = LoRAAdapter.combine(method);
        if (seed != null) {
            require(method.isRandom(), "--seed is for dare, not for " + method);
            combination.seed(seed);
        }
        if (rank != null) {
            require(method.takesRank() && rank >= 1, "--rank " + rank
                    + " must be at least 1, and needs --method svd or one that ends in svd; see --compress");
            combination.rank(rank);
        }
        boolean sparse = method.needsDensity();
        require(sparse == (density != null) && (density == null || density > 0 && density <= 1),
                sparse ? "--method " + method + " needs a --density above 0 and at most 1, such as 0.5"
                        : "--density is for ties, dare and magnitude_prune, not for " + method);
        if (majoritySign != null) {
            require(method.electsSign(), "--majority-sign is for ties, not for " + method);
            combination.majoritySign(majoritySign);
        }
        Require.atLeastOne(spec(), "--compress", compress);
        adapters.forEach(adapter -> require(Double.isFinite(adapter.weight), adapter + " has a weight that is not a finite "
                + "number"));
        if (density != null) {
            combination.density(density);
        }
        return combination;
    }

    private static void tell(LoRAAdapter.Compressed smaller, Map<String, RankUse> uses, Facts facts) {
        smaller.relativeErrors().forEach((layer, error) -> facts.say(String.format(Locale.ROOT,
                "%s: %s Rank %d keeps %.2f %%, and loses %.2f %% of the norm.", layer, uses.get(layer),
                smaller.adapter().rank(layer), 100 * (1 - error * error), 100 * error)));
        if (!uses.isEmpty()) {
            facts.say(RankUse.MEANING);
        }
        facts.put("needed", uses.entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, use -> use.getValue().needed(), (a, b) -> a, LinkedHashMap::new)));
    }

    private String numbered() {
        return adapters.stream().map(adapter -> (adapters.indexOf(adapter) + 1) + ": " + adapter.folder)
                .collect(Collectors.joining(", "));
    }
}
