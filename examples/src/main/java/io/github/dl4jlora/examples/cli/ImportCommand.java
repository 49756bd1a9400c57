package io.github.dl4jlora.examples.cli;

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
                {"As apply, for adapters of Python's PEFT, whose modules may bear other names than DL4J's layers. A network "
                        + "that is adapted already gets this adapter in place of its own.",
                "--rename maps names: a regular expression, =, and what a match is replaced with ($1 is its first group). The "
                        + "first that matches the whole name counts."},
        footer = {"  dl4j-lora import peft-adapter base.zip -o tuned.zip",
                "  dl4j-lora import peft-adapter base.zip --rename 'model\\.(fc\\d)=$1' -o tuned.zip"})
final class ImportCommand extends Work {

    @Parameters(index = "0", paramLabel = "ADAPTER", description = "An adapter's folder.")
    private Path adapter;

    @Parameters(index = "1", paramLabel = "NETWORK", description = "The network, adapted or not.")
    private Path network;

    @Option(names = "--rename", paramLabel = "REGEX=NAME",
            description = "A PyTorch module's name to a DL4J layer's; may be given often.")
    private List<String> renames = List.of();

    @Option(names = "--lenient", description = "Leaves out tensors that are missing or not understood, with a warning.")
    private boolean lenient;

    @Option(names = "--any-base", description = "Takes an adapter that was trained on other weights, with a warning.")
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
        SavedNetwork saved = SavedNetwork.read(network);
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
                if (equals < 1) {
                    throw new ParameterException(spec().commandLine(), "--rename " + rename + " is no REGEX=NAME");
                }
                String regex = rename.substring(0, equals);
                parsed.add(new Rename(Pattern.compile(regex), rename.substring(equals + 1)));
                // Matches nothing at all too, with the same groups: a replacement that asks for others fails here.
                Pattern.compile(regex + "|").matcher("").replaceFirst(rename.substring(equals + 1));
            } catch (PatternSyntaxException e) {
                throw new ParameterException(spec().commandLine(), "--rename " + rename + " is no regular expression: "
                        + e.getMessage(), e);
            } catch (IndexOutOfBoundsException | IllegalArgumentException e) {
                throw new ParameterException(spec().commandLine(), "--rename " + rename
                        + " replaces with what its expression lacks: "
                        + e.getMessage(), e);
            }
        }
        return module -> parsed.stream().filter(rename -> rename.pattern.matcher(module).matches()).findFirst()
                .map(rename -> rename.pattern.matcher(module).replaceFirst(rename.replacement)).orElse(module);
    }
}
