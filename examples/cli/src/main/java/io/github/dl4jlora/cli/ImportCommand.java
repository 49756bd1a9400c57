package io.github.dl4jlora.cli;

import io.github.dl4jlora.adapter.LoRAAdapter;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

@Command(name = "import", header = "Puts an adapter from elsewhere into a saved network.",
        description =
                {"Like apply, for adapters from Python's PEFT, whose modules may have other names than DL4J's layers. In a "
                        + "network that is already adapted, this adapter replaces the network's own, and must have "
                        + "the same layers, ranks, variant, trained layers and biases. The updater's state and counts then start "
                        + "at zero.",
                "--rename maps names: a regular expression, =, and the replacement ($1 is the first group). The first "
                        + "expression that matches the whole name counts."},
        footer = {"  dl4j-lora import peft-adapter base.zip -o tuned.zip",
                "  dl4j-lora import peft-adapter base.zip --rename 'model\\.(fc\\d)=$1' -o tuned.zip"})
final class ImportCommand extends Work {

    @Parameters(index = "0", paramLabel = "ADAPTER", description = "An adapter's folder.")
    private Path adapter;

    @Parameters(index = "1", paramLabel = "NETWORK", description = "The network, adapted or not.")
    private Path network;

    @Option(names = "--base", paramLabel = "NETWORK", description = "The network that a checkpoint was adapted from.")
    private Path base;

    @Option(names = "--rename", paramLabel = "REGEX=NAME",
            description = "Maps a PyTorch module's name to a DL4J layer's; may be repeated.")
    private List<String> renames = List.of();

    @Option(names = "--lenient", description = "Ignores tensors that are missing or unknown, with a warning.")
    private boolean lenient;

    @Option(names = "--any-base", description = "Accepts an adapter that was trained on other weights, with a warning.")
    private boolean anyBase;

    @Mixin
    private Output output;

    /** One of {@code --rename}. */
    private record Rename(Pattern pattern, String replacement) {
    }

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        UnaryOperator<String> renaming = renaming();
        Map<String, String> renamed = new HashMap<>();
        LoRAAdapter.Loader loader = LoRAAdapter.loader().strict(!lenient).keyMapper(module -> {
            String layer = renaming.apply(module);
            if (!layer.equals(module)) {
                renamed.put(layer, module);
            }
            return layer;
        });
        output.checkedFile();
        progress.expect(4).step("reading " + adapter);
        LoRAAdapter read = AdapterFolder.read(adapter, loader);
        progress.step("reading " + network);
        SavedNetwork saved = SavedNetwork.read(network, base);
        progress.step("putting it in");
        SavedNetwork adapted = Adapting.put(saved, read, adapter, anyBase, renamed);
        progress.step("writing " + output.path());
        output.writeAdapted(adapted);
        output.tell("adapted in the layers " + String.join(", ", read.layers()) + ".", facts);
        facts.put("layers", read.layers()).put("trainedLayers", read.trainedLayers());
    }

    private UnaryOperator<String> renaming() {
        List<Rename> parsed = new ArrayList<>();
        for (String rename : renames) {
            int equals = rename.lastIndexOf('=');
            try {
                require(equals >= 1, "--rename " + rename + " is not of the form REGEX=NAME");
                String regex = rename.substring(0, equals);
                Pattern.compile(regex);
                // The whole name has to match, and the replacement's groups are those of that match.
                parsed.add(new Rename(Pattern.compile("(?:" + regex + ")\\z"), rename.substring(equals + 1)));
                // The added alternative matches the empty text, with the same groups: a replacement that refers to others fails
                // here.
                Pattern.compile(regex + "|").matcher("").replaceFirst(rename.substring(equals + 1));
            } catch (PatternSyntaxException e) {
                throw new ParameterException(spec().commandLine(), "--rename " + rename + " is not a regular expression: "
                        + e.getMessage(), e);
            } catch (IndexOutOfBoundsException | IllegalArgumentException e) {
                throw new ParameterException(spec().commandLine(), "--rename " + rename
                        + " has an invalid replacement: "
                        + e.getMessage(), e);
            }
        }
        return module -> parsed.stream().filter(rename -> rename.pattern.matcher(module).lookingAt()).findFirst()
                .map(rename -> rename.pattern.matcher(module).replaceFirst(rename.replacement)).orElse(module);
    }
}
