package io.github.dl4jlora.cli;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/** Translates the library's messages, which are written for Java programmers, into terms of this command line. */
public final class Wording {

    /** Replacements by pattern, in order: longer patterns first. */
    private static final Map<Pattern, String> WORDS = new LinkedHashMap<>();

    /** Names of the library's API, which nobody can use here. */
    private static final Pattern JAVA = Pattern.compile("\\bLoRA(Config|Adapter|Init|Settings|Files)?\\.\\w+|\\bLoRAConfig\\b"
            + "|\\bOnnx(Export|Adapter)\\b|\\bWeightType\\b|\\b(inputTypes|openImages|externalData|forText|masks|logits)\\("
            + "|\\b(Apply|Save)Option\\b|\\b(Threads|Doctor|Pattern)\\.\\w+"
            + "|\\b(copyBase|allTargets|override|alpha|rank|scaling|bias|keyMapper|strict|fullValues|toPlainLoRA|convertDataType"
            + "|updater|engine|variant|loraInit|loraDropout|baseLocation|storage|targets|exclude|trainable|setFeatureExtractor"
            + "|toComputationGraph)\\(");

    private static final String ALTERNATIVE = ", or ";
    /** Where a message may be cut: after a sentence, or before a further piece of advice. */
    private static final Pattern PIECES = Pattern.compile("(?<=[^.]\\.)\\s+(?=[A-Z])|(?=; (?!it ))|(?=, or (?!it |what ))");

    static {
        // Where an option does the same.
        word("or force it onto this one: LoRA\\.apply\\(base, adapter, ApplyOption\\.FORCE\\)",
                "or dl4j-lora import with --any-base");
        word("Match the module names .{0,60}keyMapper\\(\\.\\.\\.\\)", "Match the names with dl4j-lora import and --rename");
        word("map them to this network's with LoRAAdapter\\.loader\\(\\)\\.keyMapper\\(\\.\\.\\.\\)",
                "match them with dl4j-lora import and --rename");
        word("To load only complete layers: LoRAAdapter\\.loader\\(\\)\\.strict\\(false\\)",
                "To take only complete layers: dl4j-lora import with --lenient");
        word("name the layers with targets\\(\\.\\.\\.\\), or take all with allTargets\\(\\)",
                "name the layers with --targets, or take all but the output with --targets '.*' and --exclude");
        word("give this layer a smaller one with LoRAConfig's override\\(.*?\\)\\)", "give a smaller one with --rank");
        word("leave these layers out with exclude\\(\\.\\.\\.\\)", "leave these layers out with --exclude");
        word("[Ll]eave (it|this layer) out with exclude\\((\"[^\"]*\")\\)", "Leave $1 out with --exclude $2");
        word(", or raise its alpha with override\\(\\.\\.\\.\\)", "");
        word("LoRAConfig: (rank|alpha|scaling)\\b", "--$1");
        word("Set it with (alpha|rank)\\((\\d+)\\)", "Set it with --$1 $2");
        word("Narrow the pattern, use exclude\\(\\.\\.\\.\\), or take all that can be adapted with allTargets\\(\\)",
                "Narrow the pattern, or leave it out with --exclude");
        word("\\b(targets|exclude|trainable)\\((\"[^\"]*\")\\)", "--$1 $2");
        word("\\b(targets|exclude|trainable)\\(\\.\\.\\.\\)", "--$1");
        word("\\bexclude and trainable leave", "--exclude and --trainable leave");
        word("\\bthe keyMapper maps", "--rename maps");
        word("\\bquantize\\((\\w+)\\)", "--quantize $1");
        word("Leave quantize out", "Leave --quantize out");
        word("fullValues\\(false\\)", "no --full-values");
        word("and take it out again with LoRAAdapter\\.of", "and take it out again with dl4j-lora export");
        word("Give (an|the network's|one) InputTypes?\\b.*", "Give it with --input: " + NetworkInput.WORDS
                + "; rows:LENGTH for word ids");
        word("give the network's InputType with its steps.*", "give it with --input steps:SIZE,STEPS");
        word("Give the network its base, or start Java with", "Give the network its base with --base FILE, or start Java with");
        word("Use OnnxAdapter\\.write\\(adapter, base, path\\)", "Name its base with --base FILE");
        word("OnnxExport writes", "dl4j-lora onnx writes");
        word("Fix sizes with OnnxExport\\.inputTypes\\(\\.\\.\\.\\), and leave out openImages\\(true\\)",
                "Leave out --open-images, and fix sizes with --input: " + NetworkInput.WORDS);
        word("with OnnxExport\\.inputTypes\\(\\.\\.\\.\\)", "with --input: " + NetworkInput.WORDS);
        word("OnnxExport\\.inputs\\(\\.\\.\\.\\) and outputs\\(\\.\\.\\.\\)", "--input-name and --output-name");
        word("(?:\\bOnnxExport\\.)?\\b(logits|masks)\\(true\\)", "--$1");
        word("(?:\\bOnnxExport\\.)?\\bopenImages\\(true\\)", "--open-images");
        word("(?:\\bOnnxExport\\.)?\\bforText\\(\\)", "--for-text");
        word("\\bWeightType\\.(\\w+)", "--weights $1");
        word("^inputTypes\\((\\[.*?]|\\.\\.\\.)\\)", "--input");
        word("\\bfeedForward\\((\\d+|length)\\)", "rows:$1");
        word("\\brecurrent\\((\\d+), (NCW|NWC)\\)", "recurrent($1, steps, $2)");
        word("\\brecurrent\\((\\d+), (\\w+), (NCW|NWC)\\)", "steps:$1,$2,$3");
        word("\\bconvolutional\\((\\w+), (\\w+), (\\d+), (NCHW|NHWC)\\)", "images:$1,$2,$3,$4");
        word("\\bconvolutional3D\\((NCDHW|NDHWC), (\\w+), (\\w+), (\\w+), (\\d+)\\)", "volumes:$2,$3,$4,$5,$1");
        word("\\b((?:steps|images|volumes):[\\w,]+),NC[DHW]+\\b", "$1");
        word("\\b((?:steps|images|volumes):[\\w,]+),N[DHW]+C\\b", "$1,last");
        word("^(in|out)puts\\(\\[(.*?)]\\)", "--$1put-name $2");
        word("^(opset|batch)\\((-?\\d+)\\)", "--$1 $2");
        word("Leave the call out", "Leave the option out");
        // Where a command does the same.
        word("LoRA\\.apply\\(base, adapter\\)", "dl4j-lora apply NETWORK ADAPTER");
        word("LoRA\\.merge(\\(network\\))?", "dl4j-lora merge");
        word("LoRA\\.apply", "dl4j-lora apply");
        word(": load what LoRA\\.save wrote with LoRA\\.load", ". Name the network that it was made of");
        word(" was written by LoRA\\.writeBase: open it with LoRA\\.openBase, and adapt that network with dl4j-lora apply",
                " is a base in a mapped file already, kept as it was written. Name the file that it was made of");
        word(", or convert the adapter with toPlainLoRA\\(\\)", "");
        word(", or set the rank with override", "");
        word(" \\(for a zip, use LoRAAdapter\\.loader\\(\\)\\.load\\(stream\\)\\)", "");
        word("\\btoPlainLoRA\\b(?!\\()", "taking the start out");
        word("\\bAttach (the|a copy)", "Name $1");
        word("^LoRAConfig: ", "");
        word("LoRAInit\\.", "");
    }

    private Wording() {
    }

    private static void word(String java, String here) {
        WORDS.put(Pattern.compile(java), here);
    }

    /** The message; advice that only a program could follow is left out. */
    public static String of(String message) {
        String said = message;
        for (Map.Entry<Pattern, String> word : WORDS.entrySet()) {
            said = word.getKey().matcher(said).replaceAll(word.getValue());
        }
        if (!JAVA.matcher(said).find()) {
            return said;
        }
        StringBuilder kept = new StringBuilder();
        boolean afterGap = false;
        for (String piece : PIECES.split(said)) {
            // The first piece says what happened, and is always kept.
            boolean keeps = kept.isEmpty() || !JAVA.matcher(piece).find();
            if (keeps) {
                String own = afterGap && piece.startsWith(ALTERNATIVE) ? withoutTheOther(piece, kept) : piece;
                kept.append(kept.isEmpty() || own.startsWith(",") || own.startsWith(";") ? "" : " ").append(own);
            }
            afterGap = !keeps;
        }
        return kept.toString();
    }

    /** An alternative to what was left out: a sentence of its own after a whole one, otherwise a part of that one. */
    private static String withoutTheOther(String alternative, StringBuilder kept) {
        String own = alternative.substring(ALTERNATIVE.length());
        return kept.charAt(kept.length() - 1) == '.' ? Character.toUpperCase(own.charAt(0)) + own.substring(1) : "; " + own;
    }
}
