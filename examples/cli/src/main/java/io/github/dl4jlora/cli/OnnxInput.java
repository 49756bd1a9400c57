package io.github.dl4jlora.cli;

import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import picocli.CommandLine.ITypeConverter;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** As {@link NetworkInput}, and {@code steps:256} for sequences of any length. */
final class OnnxInput implements ITypeConverter<InputType> {

    private static final Pattern OPEN = Pattern.compile("steps:([1-9]\\d{0,8})(,last)?");

    @Override
    public InputType convert(String word) {
        Matcher open = OPEN.matcher(word.toLowerCase(Locale.ROOT));
        return open.matches() ? InputType.recurrent(Long.parseLong(open.group(1)), open.group(2) == null ? RNNFormat.NCW
                : RNNFormat.NWC) : new NetworkInput().convert(word);
    }
}
