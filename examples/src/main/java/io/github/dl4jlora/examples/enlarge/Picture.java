package io.github.dl4jlora.examples.enlarge;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.awt.image.BufferedImage;

/**
 * A picture in red, green and blue.
 *
 * @param height in pixels
 * @param width  in pixels
 * @param values 0 to 255, by colour, then row, then column
 */
record Picture(int height, int width, float[] values) {

    static final int COLOURS = 3;
    static final float BRIGHTEST = 255;

    static Picture of(BufferedImage image) {
        Picture picture = new Picture(image.getHeight(), image.getWidth(),
                new float[COLOURS * image.getHeight() * image.getWidth()]);
        for (int y = 0; y < picture.height; y++) {
            for (int x = 0; x < picture.width; x++) {
                int colours = image.getRGB(x, y);
                for (int colour = 0; colour < COLOURS; colour++) {
                    picture.values[picture.index(colour, y, x)] = colours >> 8 * (COLOURS - 1 - colour) & 0xff;
                }
            }
        }
        return picture;
    }

    /** @param array what a network computed, shape [1, 3, height, width]; values outside 0 to 255 become the nearest colour */
    static Picture of(INDArray array) {
        Picture picture = new Picture((int) array.size(2), (int) array.size(3), array.dup('c').data().asFloat());
        for (int i = 0; i < picture.values.length; i++) {
            picture.values[i] = Math.max(0, Math.min(BRIGHTEST, Math.round(picture.values[i])));
        }
        return picture;
    }

    private int index(int colour, int y, int x) {
        return (colour * height + y) * width + x;
    }

    /** {@return a value; outside of the picture, the value of the nearest pixel} */
    float at(int colour, int y, int x) {
        return values[index(colour, Math.max(0, Math.min(height - 1, y)), Math.max(0, Math.min(width - 1, x)))];
    }

    BufferedImage image() {
        BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                image.setRGB(x, y, (int) at(0, y, x) << 16 | (int) at(1, y, x) << 8 | (int) at(2, y, x));
            }
        }
        return image;
    }

    /** {@return shape [1, 3, height, width]} */
    INDArray array() {
        return Nd4j.create(values, new long[] {1, COLOURS, height, width}, 'c');
    }

    /** A part of the picture; pixels outside of the picture get the colours of the nearest pixels. */
    Picture part(int top, int left, int height, int width) {
        Picture part = new Picture(height, width, new float[COLOURS * height * width]);
        for (int colour = 0; colour < COLOURS; colour++) {
            for (int y = 0; y < height; y++) {
                for (int x = 0; x < width; x++) {
                    part.values[part.index(colour, y, x)] = at(colour, top + y, left + x);
                }
            }
        }
        return part;
    }

    /** The middle of the picture, at most {@code side} pixels high and wide. */
    Picture middle(int side) {
        int newHeight = Math.min(height, side);
        int newWidth = Math.min(width, side);
        return part((height - newHeight) / 2, (width - newWidth) / 2, newHeight, newWidth);
    }

    /** Half as high and wide, each pixel the mean of four, rounded as in files; a last odd row or column is left out. */
    Picture half() {
        Picture half = new Picture(height / 2, width / 2, new float[COLOURS * (height / 2) * (width / 2)]);
        for (int colour = 0; colour < COLOURS; colour++) {
            for (int y = 0; y < half.height; y++) {
                for (int x = 0; x < half.width; x++) {
                    float sum = at(colour, 2 * y, 2 * x) + at(colour, 2 * y, 2 * x + 1) + at(colour, 2 * y + 1, 2 * x)
                            + at(colour, 2 * y + 1, 2 * x + 1);
                    half.values[half.index(colour, y, x)] = Math.round(sum / 4);
                }
            }
        }
        return half;
    }
}
