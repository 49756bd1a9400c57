package io.github.dl4jlora.cli;

import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

import java.util.Arrays;
import java.util.Locale;

/** DL4J's InputType as text: {@code rows:784}, {@code steps:256,50}, {@code images:28,28,1}, {@code volumes:16,16,16,4}. */
final class NetworkInput implements ITypeConverter<InputType> {

    static final String WORDS = "rows:SIZE, steps:SIZE,STEPS, images:HEIGHT,WIDTH,CHANNELS or "
            + "volumes:DEPTH,HEIGHT,WIDTH,CHANNELS";

    @Override
    public InputType convert(String word) {
        String[] kindAndSizes = word.toLowerCase(Locale.ROOT).split(":", 2);
        String[] parts = kindAndSizes.length == 2 ? kindAndSizes[1].split(",") : new String[0];
        boolean channelsLast = parts.length > 0 && parts[parts.length - 1].equals("last");
        try {
            long[] sizes = Arrays.stream(parts).limit(channelsLast ? parts.length - 1 : parts.length)
                    .mapToLong(Long::parseLong).toArray();
            if (Arrays.stream(sizes).allMatch(size -> size > 0)) {
                return of(kindAndSizes[0] + sizes.length, sizes, channelsLast);
            }
        } catch (NumberFormatException e) {
            throw notUnderstood(word);
        }
        throw notUnderstood(word);
    }

    private static InputType of(String kindAndCount, long[] sizes, boolean channelsLast) {
        return switch (kindAndCount) {
            case "rows1" -> InputType.feedForward(sizes[0]);
            case "steps2" -> InputType.recurrent(sizes[0], sizes[1], channelsLast ? RNNFormat.NWC : RNNFormat.NCW);
            case "images3" -> InputType.convolutional(sizes[0], sizes[1], sizes[2],
                    channelsLast ? CNN2DFormat.NHWC : CNN2DFormat.NCHW);
            case "volumes4" -> InputType.convolutional3D(channelsLast ? Convolution3D.DataFormat.NDHWC
                    : Convolution3D.DataFormat.NCDHW, sizes[0], sizes[1], sizes[2], sizes[3]);
            default -> throw new NumberFormatException(kindAndCount);
        };
    }

    private static TypeConversionException notUnderstood(String word) {
        return new TypeConversionException("'" + word + "' is not an input size. Give " + WORDS
                + ", with whole numbers from 1 on; append ,last if channels come last");
    }
}
